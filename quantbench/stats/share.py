"""The share of a loss that came back: a ratio of two paired differences."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from quantbench.stats.bootstrap import percentile_estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from quantbench.stats.comparison import Estimate


def share_recovered(
    recovered: NDArray[np.float64],
    before: NDArray[np.float64],
    reference: NDArray[np.float64],
    n: int,
    confidence: float = 0.95,
) -> Estimate:
    """(recovered - before) / (reference - before), with its percentile bootstrap interval.

    All three are resampled with the same draws of samples (or of groups, where these were drawn),
    so that the ratio is of paired differences (Efron and Tibshirani, "An Introduction to the
    Bootstrap", 1993, chapters 10 and 13). While the loss keeps its sign in all draws that the
    interval rests on, the interval is that of all shares s for which the draws of (recovered -
    before) - s (reference - before) do not exclude 0 (Fieller, 1954). Where it does not, the loss
    itself is not certain and a share of it means nothing: the estimate is undefined.

    Args:
        recovered: a metric for each row of `resampling_weights`, [1 + replicates]; the first is on
            the samples as they are.
        before: of the case that was recovered, likewise.
        reference: of the float model, likewise.
        n: samples behind them.
        confidence: two-sided, in (0, 1).
    """
    gained, lost = recovered - before, reference - before
    turned = np.mean(lost[1:] * np.sign(lost[0]) <= 0)
    if not (np.isfinite(lost).all() and lost[0] != 0 and turned <= (1 - confidence) / 2):
        undefined = percentile_estimate(np.full(2, np.nan), n, confidence)
        return replace(undefined, method="undefined: the loss itself is not certain")
    found = percentile_estimate(gained / np.where(lost == 0, np.nan, lost), n, confidence)
    return replace(found, method=f"ratio of paired differences, {found.method}")
