"""Classification of vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.errors import DataError, PredictionError, UsageError
from quantbench.stats.changes import most_changed
from quantbench_linear import metrics

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from quantbench import Model
    from quantbench.protocols import Influence, Row
    from quantbench_linear.data import Vector


class VectorClassification:
    """Vectors in, a score a class out."""

    tools = ("numpy",)
    version = 1
    lower_is_better = frozenset({"score_drift"})
    signed: frozenset[str] = frozenset()

    def __init__(self, model: Model, float_model: Path) -> None:
        """Take what goes in from the model's description.

        Raises:
            UsageError: the model does not say it.
        """
        del float_model
        if model.interface is None:
            raise UsageError(
                f"{model.name} does not say what goes in", expected="Model(interface=Vectors(...))"
            )
        self._features = model.interface.features

    @classmethod
    def without_model(cls, rows: Sequence[Row]) -> VectorClassification:
        """What counts stored rows."""
        del rows
        return cls.__new__(cls)

    @staticmethod
    def identity(model: Model) -> Mapping[str, Any]:
        """The labels are names for people: they change no row."""
        return {"features": model.interface.features}

    def check(self, samples: Sequence[Vector]) -> None:
        """Refuse vectors of another length, before anything is predicted.

        Raises:
            DataError: one is.
        """
        for sample in samples:
            if len(sample.values) != self._features:
                raise DataError(
                    "a vector does not fit the model",
                    where=sample.id,
                    expected=f"{self._features} features",
                    got=len(sample.values),
                )

    def prepare(self, sample: Vector) -> NDArray[np.float64]:
        """The numbers, and the constant that the bias is multiplied by."""
        return np.array([*sample.values, 1.0])

    def evidence(self, sample: Vector, prediction: NDArray[np.float64]) -> Row:
        """Scores and label.

        Raises:
            PredictionError: a score is NaN or infinite.
        """
        if not np.isfinite(prediction).all():
            raise PredictionError("scores hold NaN or infinity", where=sample.id)
        return {"id": sample.id, "label": sample.label, "scores": prediction.tolist()}

    def summarise(
        self, rows: Sequence[Row], weights: NDArray[Any]
    ) -> Mapping[str, NDArray[np.float64]]:
        """top1."""
        return metrics.means(metrics.per_sample(rows), weights)

    def agree(
        self, rows: Sequence[Row], reference: Sequence[Row], weights: NDArray[Any]
    ) -> Mapping[str, NDArray[np.float64]]:
        """agreement_top1, score_drift."""
        return metrics.means(metrics.agreement_per_sample(rows, reference), weights)

    @staticmethod
    def per_sample(
        rows: Sequence[Row], reference: Sequence[Row] | None = None
    ) -> Mapping[str, NDArray[Any]]:
        """All of them: each is a mean over samples."""
        if reference is None:
            return metrics.per_sample(rows)
        return metrics.agreement_per_sample(rows, reference)

    def influence(
        self, metric: str, rows: Sequence[Row], reference: Sequence[Row] | None = None
    ) -> Influence | None:
        """Nothing to say: every metric is a mean over samples, and `per_sample` has its parts."""
        del metric, rows, reference
        return None

    def changes(
        self, samples: Mapping[str, Any], rows: Sequence[Row], reference: Sequence[Row], most: int
    ) -> list[dict[str, Any]]:
        """The vectors whose scores moved furthest, with what both models said."""
        drift = metrics.agreement_per_sample(rows, reference)["score_drift"]
        now, was = metrics.said(rows), metrics.said(reference)
        return [
            {
                "id": rows[i]["id"],
                "change": float(drift[i]),
                "label": samples[rows[i]["id"]].label,
                "float": int(was[i]),
                "quantized": int(now[i]),
            }
            for i in most_changed(drift, most)
        ]

    def explain(self, rows: Sequence[Row]) -> Mapping[str, Any]:
        """Which classes are missed."""
        return {"recall_by_class": metrics.recalls(rows)}
