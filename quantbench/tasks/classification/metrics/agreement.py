"""How far a quantized classifier says what its float model says: no labels needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.stats.divergence import divergence
from quantbench.tasks.classification.metrics.answers import means, said

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from quantbench.protocols import Row


def per_picture(rows: Sequence[Row], reference: Sequence[Row]) -> dict[str, NDArray[Any]]:
    """How far the float model is followed on each picture, [pictures].

    Args:
        rows: of the quantized model.
        reference: the float model's, the same pictures in the same order.

    Returns:
        `agreement_top1`: both say the same class, right or wrong; `lost`: the float model is right
        and this one wrong; `gained`: the other way round; `agreement_overlap`: probability that
        both give to the same classes, the sum of the lesser of the two, which is 1 less the total
        variation distance; `kl_divergence`: of the float model's probabilities to this one's, in
        nats, >= 0. With more than 20 classes only the 20 likeliest of each are known: the first
        is an upper bound then, the second a lower one.
    """
    right, was_right = (np.array([row["rank"] < 1 for row in each]) for each in (rows, reference))
    pairs = list(zip(rows, reference, strict=True))
    return {
        "agreement_top1": np.array([said(row) == said(was) for row, was in pairs]),
        "lost": was_right & ~right,
        "gained": right & ~was_right,
        "agreement_overlap": np.array([_overlap(row, was) for row, was in pairs]),
        "kl_divergence": np.array(
            [
                divergence(row["top"], row["top_logprobs"], was["top"], was["top_logprobs"])
                for row, was in pairs
            ]
        ),
    }


def agree(
    rows: Sequence[Row], reference: Sequence[Row], weights: NDArray[Any]
) -> dict[str, NDArray[np.float64]]:
    """Weighted means of `per_picture` for each row of `weights`."""
    return means(per_picture(rows, reference), weights)


def moved(rows: Sequence[Row], reference: Sequence[Row]) -> tuple[float, float]:
    """How far the float model's answers have moved, small changes included.

    Returns:
        Mean squares of the change of the probabilities of the float model's likeliest classes
        (summed over these), and of the change of its margin: the difference of the logits of its
        two likeliest classes. The one sees what a person is shown, the other also what saturated
        probabilities hide. A class that is not among this model's likeliest counts as its least
        likely one there.
    """
    shares, margins = [], []
    for row, was in zip(rows, reference, strict=True):
        logprobs = dict(zip(row["top"], row["top_logprobs"], strict=True))
        now = np.array([logprobs.get(each, row["top_logprobs"][-1]) for each in was["top"]])
        before = np.array(was["top_logprobs"])
        shares.append(((np.exp(now) - np.exp(before)) ** 2).sum())
        margins.append(((now[0] - now[1]) - (before[0] - before[1])) ** 2)
    return float(np.mean(shares)), float(np.mean(margins))


def _overlap(row: Row, reference: Row) -> float:
    """What one list lacks has together no more than the other list leaves."""
    mine, theirs = (
        dict(zip(each["top"], np.exp(each["top_logprobs"]), strict=True))
        for each in (row, reference)
    )
    left, left_there = (max(1 - sum(side.values()), 0.0) for side in (mine, theirs))
    both = sum(min(p, theirs[each]) for each, p in mine.items() if each in theirs)
    alone = min(sum(p for each, p in mine.items() if each not in theirs), left_there)
    alone_there = min(sum(p for each, p in theirs.items() if each not in mine), left)
    return float(min(both + alone + alone_there + min(left, left_there), 1.0))
