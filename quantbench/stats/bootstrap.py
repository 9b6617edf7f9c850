"""The bootstrap over samples, as weights: a draw of n samples is n counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

REPLICATES = 1000


@dataclass(frozen=True)
class Estimate:
    """A value with its interval.

    Attributes:
        value: on the samples as they are.
        low: lower end of the interval; NaN, as all of these, where the metric is undefined.
        high: upper end.
        confidence: of the two-sided interval.
        n: samples.
        method: the estimator, by name.
    """

    value: float
    low: float
    high: float
    confidence: float
    n: int
    method: str


def resampling_weights(n: int, replicates: int, seed: int) -> NDArray[np.float64]:
    """Weights [1 + replicates, n]: ones first, then counts of n draws with replacement.

    The same n and seed give the same draws, so that two models seen on the same samples are
    resampled together (a paired bootstrap).
    """
    rng = np.random.default_rng(seed)
    weights = np.empty((1 + replicates, n))
    weights[0] = 1
    for row in weights[1:]:
        row[:] = np.bincount(rng.integers(0, n, n), minlength=n)
    return weights


def percentile_estimate(values: NDArray[np.float64], n: int, confidence: float) -> Estimate:
    """Percentile interval (Efron and Tibshirani, 1993, ch. 13) of a metric's replicates.

    Args:
        values: the metric for each row of `resampling_weights`, [1 + replicates].
        n: samples behind it.
        confidence: two-sided, in (0, 1).

    Assumes independent samples. Undefined replicates are left out; they are counted in the
    method's name, since an interval that rests on few of them is worth little.
    """
    replicates = values[1:]
    defined = replicates[np.isfinite(replicates)]
    method = f"percentile bootstrap, {len(replicates)} replicates"
    if np.isnan(values[0]) or defined.size == 0:
        return Estimate(float("nan"), float("nan"), float("nan"), confidence, n, "undefined")
    if defined.size < replicates.size:
        method += f", {replicates.size - defined.size} undefined"
    tail = (1 - confidence) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Estimate(float(values[0]), float(low), float(high), confidence, n, method)
