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
_MOST_WON = 0.5  # that rounding them one by one may add to a sum
_EXACT = 1e-3  # of a sum
_BY_CHANCE = 5  # pictures whose logits are not all probabilities, whatever the model
LEAST = 1e-7  # of a probability, as Keras clips it: 8 bits round the small ones to zero


class Outputs:
    """What one model says, picture by picture."""

    def __init__(self, classifier: Classifier) -> None:
        """Take the model's description."""
        self._classifier = classifier
        self._alike: int | None = (
            0  # first logits that looked like probabilities; None: others came
        )

    def logprobs(self, prediction: Mapping[str, NDArray[Any]], sample: str) -> NDArray[np.float64]:
        """The log-probability of each class, in nats, [classes].

        Of logits the log-softmax. Of probabilities the logarithm, of no less than 1e-7; they are
        not made to sum to one.

        Raises:
            PredictionError: an output is missing or one of several, has another number of values
                than there are classes, holds NaN or infinity, or is not what the classifier says
                it is.
        """
        scores = _scores(prediction, self._classifier, sample)
        if self._classifier.says == "logits":
            self._check_logits(scores, sample)
            shifted = scores - scores.max()
            return np.asarray(shifted - np.log(np.exp(shifted).sum()))
        _check_probabilities(scores, sample)
        return np.asarray(np.log(np.maximum(scores, LEAST)))

    def _check_logits(self, scores: NDArray[np.float64], sample: str) -> None:
        """Not all of the first ones are probabilities: one picture's may be, by chance."""
        if self._alike is None:
            return
        if scores.min() < 0 or scores.max() > 1 or abs(scores.sum() - 1) > _EXACT:
            self._alike = None
            return
        self._alike += 1
        if self._alike == _BY_CHANCE:
            raise PredictionError(
                "the outputs are probabilities already",
                where=f"{sample}, as {_BY_CHANCE - 1} pictures before it",
                expected="logits",
                got=f"{len(scores)} numbers of {scores.min():.3g} to {scores.max():.3g} "
                "that sum to 1",
                remedy='describe them so: Classifier(says="probabilities"); a second softmax '
                "would flatten them",
            )


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
    # Of many classes that are all unlikely each may be rounded to zero: nothing is left of the sum.
    lost = min(len(scores) / 2 / _GRID, 1.0) if on_grid else 0.0
    won = min(lost, _MOST_WON)
    inside = scores.min() >= -_EXACT and scores.max() <= 1 + _EXACT
    if inside and 1 - _OFF - lost <= scores.sum() <= 1 + _OFF + won:
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
