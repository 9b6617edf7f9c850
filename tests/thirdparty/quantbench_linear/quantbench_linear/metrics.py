"""Classification as pure functions of rows. A row has `id`, `label` and `scores` [classes]."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from quantbench.protocols import Row


def said(rows: Sequence[Row]) -> NDArray[np.int64]:
    """The class with the highest score, [rows]; of equals the first."""
    found: NDArray[np.int64] = np.array([row["scores"] for row in rows]).argmax(axis=1)
    return found


def per_sample(rows: Sequence[Row]) -> dict[str, NDArray[Any]]:
    """`top1`: whether the likeliest class is the right one. Booleans are parts of a proportion."""
    return {"top1": said(rows) == np.array([row["label"] for row in rows])}


def agreement_per_sample(rows: Sequence[Row], reference: Sequence[Row]) -> dict[str, NDArray[Any]]:
    """How far the float model is followed.

    Returns:
        `agreement_top1`: both say the same class, right or wrong; `score_drift`: how far the
        score that moved furthest has moved, >= 0.
    """
    now, was = (np.array([row["scores"] for row in each]) for each in (rows, reference))
    return {
        "agreement_top1": said(rows) == said(reference),
        "score_drift": np.abs(now - was).max(axis=1),
    }


def means(
    parts: Mapping[str, NDArray[Any]], weights: NDArray[Any]
) -> dict[str, NDArray[np.float64]]:
    """Weighted means of each, for each row of `weights` [replicates, rows]."""
    return {name: weights @ values / weights.sum(axis=1) for name, values in parts.items()}


def recalls(rows: Sequence[Row]) -> dict[str, float]:
    """Share of each class's samples that are found, by its label."""
    right = per_sample(rows)["top1"]
    labels = np.array([row["label"] for row in rows])
    return {str(label): float(right[labels == label].mean()) for label in np.unique(labels)}
