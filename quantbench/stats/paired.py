"""Differences between two models on the same samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantbench.stats.bootstrap import Estimate, percentile_estimate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def paired_difference(
    quantized: NDArray[np.float64],
    reference: NDArray[np.float64],
    n: int,
    confidence: float,
) -> Estimate:
    """Quantized - reference with a percentile interval over paired replicates.

    Args:
        quantized: a metric under shared resampling weights, [1 + replicates].
        reference: the same metric of the other model under the same weights.
        n: samples.
        confidence: of the two-sided interval; each end alone is a one-sided bound of
            confidence (1 + confidence) / 2.
    """
    return percentile_estimate(quantized - reference, n, confidence)
