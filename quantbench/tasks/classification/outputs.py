"""From a classifier's outputs to log-probabilities, or to what is wrong with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.errors import PredictionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from quantbench.tasks.classification.classifier import Classifier

_OFF = 0.01  # that a sum of probabilities may be off by
_GRID = 256  # steps of a softmax in 8 bits: LiteRT's, ONNX Runtime's and OpenVINO's
_MOST_OFF = 0.5  # that rounding them one by one may take from or add to a sum
_EXACT = 1e-3  # of a sum: no logits are probabilities by chance
LEAST = 1e-7  # of a probability, as Keras clips it: 8 bits round the small ones to zero


def logprobs(
    prediction: Mapping[str, NDArray[Any]], classifier: Classifier, sample: str
) -> NDArray[np.float64]:
    """The log-probability of each class, in nats, [classes].

    Of logits the log-softmax. Of probabilities the logarithm, of no less than 1e-7; they are not
    made to sum to one.

    Raises:
        PredictionError: an output is missing or one of several, has another number of values than
            there are classes, holds NaN or infinity, or is not what the classifier says it is.
    """
    scores = _scores(prediction, classifier, sample)
    probable = scores.min() >= 0 and abs(scores.sum() - 1) <= _EXACT
    if classifier.says == "logits":
        if probable and scores.max() <= 1:
            raise PredictionError(
                "the outputs are probabilities already",
                where=sample,
                expected="logits",
                got=f"{len(scores)} numbers of {scores.min():.3g} to {scores.max():.3g} "
                "that sum to 1",
                remedy='describe them so: Classifier(says="probabilities"); a second softmax '
                "would flatten them",
            )
        shifted = scores - scores.max()
        return np.asarray(shifted - np.log(np.exp(shifted).sum()))
    _check_probabilities(scores, sample)
    return np.asarray(np.log(np.maximum(scores, LEAST)))


def _scores(
    prediction: Mapping[str, NDArray[Any]], classifier: Classifier, sample: str
) -> NDArray[np.float64]:
    wanted = dict(classifier.outputs).get("scores")
    found = [wanted] if wanted in prediction else [] if wanted else list(prediction)
    if len(found) != 1:
        raise PredictionError(
            f"the model has no output {wanted!r}" if wanted else "the model has several outputs",
            where=sample,
            expected='one of them named: Classifier(outputs=(("scores", NAME),))',
            got=", ".join(f"{name} {list(np.shape(v))}" for name, v in prediction.items()),
        )
    (name,) = found
    values = np.asarray(prediction[str(name)], dtype=np.float64)
    classes = len(classifier.class_ids)
    if values.size != classes or classes not in values.shape:
        raise PredictionError(
            "the model's output has another number of classes than its description",
            where=f"{sample}, output {name!r}",
            expected=f"{classes} values, one for each of class_ids",
            got=list(values.shape),
            remedy="give the data set's name of each output channel, and name channels that stand "
            "for nothing: Classifier(unused=...)",
        )
    if not np.isfinite(values).all():
        raise PredictionError(
            f"output {name!r} holds NaN or infinity",
            where=sample,
            got=f"{int((~np.isfinite(values)).sum())} of {values.size} values",
            remedy="the artifact is broken: look at the ops that its build quantized",
        )
    return values.ravel()


def _check_probabilities(scores: NDArray[np.float64], sample: str) -> None:
    steps = scores * _GRID
    on_grid = bool(np.abs(steps - np.rint(steps)).max() < _EXACT)
    rounding = min(len(scores) / 2 / _GRID, _MOST_OFF) if on_grid else 0.0
    inside = scores.min() >= -_EXACT and scores.max() <= 1 + _EXACT
    if inside and abs(scores.sum() - 1) <= _OFF + rounding:
        return
    raise PredictionError(
        "the outputs are no probabilities",
        where=sample,
        expected="numbers from 0 to 1 that sum to 1",
        got=f"{len(scores)} numbers of {scores.min():.3g} to {scores.max():.3g} that sum to "
        f"{scores.sum():.3g}",
        remedy='logits are described so: Classifier(says="logits"); a sigmoid for each class is '
        "no classification of one class a picture",
    )
