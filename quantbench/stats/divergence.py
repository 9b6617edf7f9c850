"""How far one distribution is from another of which only the likeliest outcomes are known."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

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
