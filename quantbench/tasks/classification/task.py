"""Image classification, one class a picture."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.errors import DataError, UsageError
from quantbench.measure.rates import FILE
from quantbench.study import Gate
from quantbench.tasks.classification.answer_numbers import AnswerNumbers
from quantbench.tasks.classification.examples import changed_pictures
from quantbench.tasks.classification.metrics import agreement
from quantbench.tasks.classification.outputs import Outputs
from quantbench.tasks.classification.pictures import fitted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from quantbench.data.labelled import Labelled
    from quantbench.protocols import Row
    from quantbench.study import Model

_KEPT = 20  # likeliest classes that a row names
_DECIMALS = 6  # of log-probabilities
_LISTED = 12  # classes of an error, at most


class Classification(AnswerNumbers):
    """Pictures in, the label's log-probability and the likeliest classes out."""

    version = 1
    rates = Path(__file__).with_name(FILE)
    hub_task = "image-classification"
    tools = ("pillow",)
    agreement = "agreement_overlap"
    mending_gate = Gate("top1", 0.02)

    def __init__(self, model: Model, float_model: Path) -> None:
        """Take the classifier's description from the model; nothing is read from disk.

        Raises:
            UsageError: the model does not say how it is fed and what it says.
        """
        del float_model
        if model.interface is None:
            raise UsageError(
                f"{model.name} does not say how it is fed and what its outputs mean",
                expected="Model(interface=Classifier(...))",
            )
        self._classifier = model.interface
        self._outputs = Outputs(self._classifier)
        self._numbers = {name: i for i, name in enumerate(model.interface.class_ids)}

    @staticmethod
    def without_model(rows: Sequence[Row]) -> AnswerNumbers:
        """What counts stored rows."""
        del rows
        return AnswerNumbers()

    @staticmethod
    def identity(model: Model) -> Mapping[str, Any]:
        """The classifier's description, without names for people."""
        if model.interface is None:
            return {}
        described = asdict(model.interface)
        return {name: described[name] for name in described if name not in {"labels", "unused"}}

    def check(self, samples: Sequence[Labelled]) -> None:
        """Refuse pictures of classes that the classifier cannot say.

        Raises:
            DataError: there are some.
        """
        known = set(self._classifier.class_ids) - set(self._classifier.unused)
        classes = {each for sample in samples for each in (sample.label, *sample.classes)}
        if strange := sorted(classes - known):
            raise DataError(
                "the data set has classes that the classifier does not know",
                where=f"Classifier(class_ids=...), {len(strange)} of {len(classes)} classes",
                expected=_listed(sorted(known)),
                got=_listed(strange),
                remedy="give the data set's own name of each output channel's class, in the "
                "channels' order, or evaluate pictures of these classes alone",
            )

    def prepare(self, sample: Labelled) -> NDArray[np.float32]:
        """The picture as the classifier's input (`tasks/classification/pictures.py`).

        Raises:
            DataError: the picture does not fit.
        """
        return fitted(sample.image, self._classifier, sample.id)

    def evidence(self, sample: Labelled, prediction: Mapping[str, NDArray[Any]]) -> Row:
        """Log-probability and rank of the label, and of the 20 likeliest classes.

        Raises:
            DataError: the picture's class is none of the classifier's.
            PredictionError: the outputs are not what the classifier says (`outputs.py`).
        """
        self.check([sample])
        exact = self._outputs.logprobs(prediction, sample.id)
        order, found = np.argsort(-exact, kind="stable"), np.round(exact, _DECIMALS)
        number = self._numbers[sample.label]
        likeliest = order[:_KEPT]
        return {
            "id": sample.id,
            "label": sample.label,
            "classes": len(found),
            "rank": int(np.flatnonzero(order == number)[0]),
            "logprob": float(found[number]),
            "top": [self._classifier.class_ids[i] for i in likeliest],
            "top_logprobs": found[likeliest].tolist(),
        }

    @staticmethod
    def moved(rows: Sequence[Row], reference: Sequence[Row]) -> tuple[float, float]:
        """Probabilities, and margins of logits (`metrics/agreement.py`)."""
        return agreement.moved(rows, reference)

    @staticmethod
    def unanswered(row: Row) -> Row:
        """Every class as likely, the label last and the float model's order turned round."""
        alike = -math.log(row["classes"])
        return {
            **row,
            "rank": row["classes"] - 1,
            "logprob": alike,
            "top": row["top"][::-1],
            "top_logprobs": [alike] * len(row["top"]),
        }

    def changes(
        self, samples: Mapping[str, Any], rows: Sequence[Row], reference: Sequence[Row], most: int
    ) -> list[dict[str, Any]]:
        """Pictures and likeliest classes (`tasks/classification/examples.py`)."""
        names = self._classifier.labels or self._classifier.class_ids
        named = dict(zip(self._classifier.class_ids, names, strict=True))
        return changed_pictures(samples, rows, reference, named, most)


def _listed(words: Sequence[str]) -> str:
    more = f" and {len(words) - _LISTED} more" if len(words) > _LISTED else ""
    return ", ".join(words[:_LISTED]) + more
