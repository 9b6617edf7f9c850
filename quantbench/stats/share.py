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
    *,
    lower_is_better: bool = False,
) -> Estimate:
    """(recovered - before) / (reference - before), with its percentile bootstrap interval.

    All three are resampled with the same draws of samples (or of groups, where these were drawn),
    so that the ratio is of paired differences (Efron and Tibshirani, "An Introduction to the
    Bootstrap", 1993, chapters 10 and 13). While there is a loss in all draws, the
    interval is that of all shares s for which the draws of (recovered -
    before) - s (reference - before) do not exclude 0 (Fieller, 1954). Where it does not, the loss
    itself is not certain and a share of it means nothing: the estimate is undefined.

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
    sign = -1 if lower_is_better else 1
    if not (np.isfinite(lost).all() and (sign * lost > 0).all()):
        undefined = percentile_estimate(np.full(2, np.nan), n, confidence)
        why = "nothing was lost" if sign * lost[0] <= 0 else "the loss itself is not certain"
        return replace(undefined, method=f"undefined: {why}")
    found = percentile_estimate(gained / lost, n, confidence)
    return replace(found, method=f"ratio of paired differences, {found.method}")
