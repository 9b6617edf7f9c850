"""Right and wrong answers as pure functions of evidence rows and picture weights."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.tasks.classification.metrics.calibration import calibration_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from quantbench.protocols import Row

_CONFUSED = 20  # pairs of classes that are listed


def per_picture(rows: Sequence[Row]) -> dict[str, NDArray[Any]]:
    """What each picture says, [pictures]: booleans are shares' parts, floats means'.

    `top1`, `top5`: the label is the likeliest class, or among the five likeliest (all pictures
    where there are five classes or fewer; of equal scores the first channel's counts as likelier,
    as argmax has it); `cross_entropy`: negative log-probability of the label, in nats.
    """
    rank = np.array([row["rank"] for row in rows])
    return {
        "top1": rank < 1,
        "top5": rank < 5,  # noqa: PLR2004 - the name says it
        "cross_entropy": -np.array([row["logprob"] for row in rows]),
    }


def summarise(rows: Sequence[Row], weights: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """Each metric for each row of `weights` [replicates, pictures].

    Args:
        rows: `label`, `rank` and `logprob` of it, `top` and `top_logprobs` of the likeliest.
        weights: at least one positive weight a row.

    Returns:
        The means of `per_picture`, and `calibration_error` (`metrics/calibration.py`).
    """
    return {
        **means(per_picture(rows), weights),
        "calibration_error": calibration_error(rows, weights),
    }


def means(
    pictures: Mapping[str, NDArray[Any]], weights: NDArray[Any]
) -> dict[str, NDArray[np.float64]]:
    """Weighted means over pictures for each row of `weights`."""
    total = weights.sum(axis=1)
    return {name: weights @ values / total for name, values in pictures.items()}


def said(row: Row) -> str:
    """The likeliest class."""
    likeliest: str = row["top"][0]
    return likeliest


def recall_by_class(rows: Sequence[Row]) -> dict[str, dict[str, int]]:
    """By class: `n` pictures, of which so many are `right`; classes in the order of their names."""
    n = Counter(row["label"] for row in rows)
    right = Counter(row["label"] for row in rows if row["rank"] < 1)
    return {label: {"n": n[label], "right": right[label]} for label in sorted(n)}


def confusions(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The most frequent mistakes: `label`, what was `said` for it, how often (`n`)."""
    pairs = Counter((row["label"], said(row)) for row in rows if row["rank"] >= 1)
    return _listed(pairs, ("label", "said"))


def flipped(rows: Sequence[Row], reference: Sequence[Row]) -> list[dict[str, Any]]:
    """The most frequent changes of the answer, right or wrong.

    `from` which class of the float model `to` which of this one, how often (`n`).
    """
    pairs = Counter(
        (said(was), said(row))
        for row, was in zip(rows, reference, strict=True)
        if said(row) != said(was)
    )
    return _listed(pairs, ("from", "to"))


def change_by_class(rows: Sequence[Row], reference: Sequence[Row]) -> dict[str, dict[str, int]]:
    """By class: `n` pictures, how many are `right` now and `were` under the float model."""
    before = recall_by_class(reference)
    return {
        label: {**counts, "were": before[label]["right"]}
        for label, counts in recall_by_class(rows).items()
    }


def _listed(pairs: Counter[tuple[str, str]], names: tuple[str, str]) -> list[dict[str, Any]]:
    ordered = sorted(pairs.items(), key=lambda each: (-each[1], each[0]))[:_CONFUSED]
    return [{**dict(zip(names, pair, strict=True)), "n": n} for pair, n in ordered]
