"""How far one distribution is from another of which only the likeliest outcomes are known."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from numpy.typing import NDArray

_NOTHING = 1e-12  # a remainder of probabilities that is rounding, and no outcome
_ROUNDED = 1e-6  # what six decimals of log-probabilities may take from a remainder


def divergence(
    ids: Sequence[Hashable],
    logprobs: Sequence[float],
    reference_ids: Sequence[Hashable],
    reference_logprobs: Sequence[float],
) -> float:
    """Kullback-Leibler divergence of the float model's answer to this model's, in nats.

    Over the outcomes (tokens, classes) that stand among the likeliest of both, and one more for
    all others: exact where the lists hold every outcome, else a lower bound (merging never
    raises it: the log-sum inequality; Cover and Thomas, 2006, theorem 2.7.1), of the given
    numbers: rounded to six decimals, they lift it by less than 1e-4.

    Args:
        ids: this model's likeliest outcomes.
        logprobs: theirs, in nats.
        reference_ids: the float model's likeliest outcomes.
        reference_logprobs: theirs, in nats.
    """
    mine = dict(zip(ids, logprobs, strict=True))
    theirs = zip(reference_ids, reference_logprobs, strict=True)
    both = [(p, mine[i]) for i, p in theirs if i in mine]
    p = np.exp([logprob for logprob, _ in both])
    rest, other = 1 - p.sum(), 1 - np.exp([logprob for _, logprob in both]).sum()
    common = float(sum(p * np.array([one - two for one, two in both])))
    if rest > _NOTHING:
        common += float(rest) * math.log(rest / (max(other, 0.0) + _ROUNDED))
    return max(common, 0.0)


def divergences(
    ids: NDArray[np.int32],
    logprobs: NDArray[np.float64],
    reference_ids: NDArray[np.int32],
    reference_logprobs: NDArray[np.float64],
) -> NDArray[np.float64]:
    """`divergence` of many answers at once, [answers].

    It compares each outcome with each: for some hundred answers a call, of some dozen outcomes.

    Args:
        ids: this model's likeliest outcomes, [answers, outcomes].
        logprobs: theirs, in nats, of the same shape.
        reference_ids: the float model's likeliest outcomes, [answers, its outcomes].
        reference_logprobs: theirs, in nats, of the same shape.
    """
    same = reference_ids[:, :, None] == ids[:, None, :]
    place = same.argmax(axis=2)
    in_both = np.take_along_axis(same, place[:, :, None], axis=2)[:, :, 0]
    mine = np.take_along_axis(logprobs, place, axis=1)
    p, q = (np.where(in_both, np.exp(each), 0.0) for each in (reference_logprobs, mine))
    common = (p * np.where(in_both, reference_logprobs - mine, 0.0)).sum(axis=1)
    rest, other = 1 - p.sum(axis=1), np.maximum(1 - q.sum(axis=1), 0.0)
    some = rest > _NOTHING
    common[some] += rest[some] * np.log(rest[some] / (other[some] + _ROUNDED))
    return np.asarray(np.maximum(common, 0.0))
