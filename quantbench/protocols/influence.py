"""How much each sample moves a metric: what the interval of a paired difference is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Influence:
    """The influence function of a metric that is a mean over strata, at the samples as they are.

    A stratum is what is averaged with equal weight: AP has one a category, a share or a mean only
    one. The derivatives are those of the infinitesimal jackknife (Jaeckel, 1972; Efron, "The
    Jackknife, the Bootstrap and Other Resampling Plans", 1982, chapter 6): the variance of a
    stratum is the sum of their squares.

    Attributes:
        change: derivative of each stratum's value by each sample's weight, [strata, samples];
            each row sums to 0.
        shown: whether the sample has anything that the stratum is about, [strata, samples].
        least: the lowest value that the metric can take.
        most: the highest.
        smooth: the metric without the jumps of its definition, where it has such (the 101 recall
            levels of AP): what `change` are the derivatives of.
        folded: where the metric is a sum of absolute values (the calibration error: of a gap in
            each bin), each sample's signed part of each term, [terms, samples]. Chance adds to an
            absolute value what it does not add to what is inside, so such a metric is too high.
    """

    change: NDArray[np.float64]
    shown: NDArray[np.bool_]
    least: float = 0.0
    most: float = 1.0
    smooth: float | None = None
    folded: NDArray[np.float64] | None = None
