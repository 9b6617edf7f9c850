"""The share of a loss that came back: a ratio of two paired differences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from quantbench.stats.comparison import Estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray


def share_recovered(
    recovered: NDArray[np.float64],
    before: NDArray[np.float64],
    reference: NDArray[np.float64],
    n: int,
    confidence: float = 0.95,
    *,
    lower_is_better: bool = False,
) -> Estimate:
    """(recovered - before) / (reference - before), with its percentile bootstrap interval.

    All three are resampled with the same draws of samples (or of groups, where these were drawn),
    so that the ratio is of paired differences (Efron and Tibshirani, "An Introduction to the
    Bootstrap", 1993, chapters 10 and 13). The interval spans all shares s for which the percentile
    interval of (recovered - before) - s (reference - before) holds 0 (Fieller, 1954). It ends
    somewhere only where the percentile interval of the loss excludes 0. Elsewhere the loss itself
    is not certain, a share of it means nothing, and the estimate is undefined.

    Args:
        recovered: a metric for each row of `resampling_weights`, [1 + replicates]; the first is on
            the samples as they are.
        before: of the case that was recovered, likewise.
        reference: of the float model, likewise.
        n: samples behind them.
        confidence: two-sided, in (0, 1).
        lower_is_better: a loss is then a rise of the metric.
    """
    gained, lost = recovered - before, reference - before
    if lower_is_better:
        gained, lost = -gained, -lost
    tail = (1 - confidence) / 2
    if lost[0] <= 0:
        return _undefined(n, confidence, "nothing was lost")
    if not (np.isfinite(lost).all() and np.isfinite(gained).all()):
        return _undefined(n, confidence, "the metric has no value in some draws of samples")
    if np.mean(lost[1:] <= 0) >= tail:
        return _undefined(n, confidence, "the loss itself is not certain")
    low, high = _fieller(gained[1:], lost[1:], tail)
    method = (
        f"ratio of paired differences, Fieller's set by a bootstrap, {len(lost) - 1} replicates"
    )
    return Estimate(float(gained[0] / lost[0]), low, high, confidence, n, method)


def _fieller(
    gained: NDArray[np.float64], lost: NDArray[np.float64], tail: float
) -> tuple[float, float]:
    """First and last share s whose draws of gained - s lost do not lie to one side of 0.

    The counts of draws at or above 0, and at or below it, change only where one is 0, and are
    largest there: so no other shares need to be looked at.
    """
    ups, downs, none = lost > 0, lost < 0, lost == 0
    up, down = np.sort(gained[ups] / lost[ups]), np.sort(gained[downs] / lost[downs])
    shares = np.unique(np.concatenate([up, down]))
    above = (up.size - np.searchsorted(up, shares)) + np.searchsorted(down, shares, "right")
    below = np.searchsorted(up, shares, "right") + (down.size - np.searchsorted(down, shares))
    above, below = above + np.sum(gained[none] >= 0), below + np.sum(gained[none] <= 0)
    held = shares[np.minimum(above, below) > tail * lost.size]
    return float(held[0]), float(held[-1])


def _undefined(n: int, confidence: float, why: str) -> Estimate:
    return Estimate(math.nan, math.nan, math.nan, confidence, n, f"undefined: {why}")
