"""The bootstrap over samples, as weights: a draw of n samples is n counts."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from quantbench.stats.comparison import Estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

REPLICATES = 1000
SEED = 0


@lru_cache(maxsize=2)
def resampling_weights(
    n: int, replicates: int = REPLICATES, seed: int = SEED, groups: tuple[int, ...] | None = None
) -> NDArray[np.float64]:
    """Weights [1 + replicates, n]: ones first, then counts of n draws with replacement.

    Where each sample has the number of a group (from 0), as many groups are drawn as there are,
    each with all of its samples (Davison and Hinkley, "Bootstrap Methods", 1997, section 3.8).

    The same n and seed give the same draws. Read-only: it is kept for the next caller.
    """
    rng = np.random.default_rng(seed)
    weights = np.empty((1 + replicates, n))
    weights[0] = 1
    units = n if groups is None else max(groups) + 1
    members = slice(None) if groups is None else np.array(groups)
    for row in weights[1:]:
        row[:] = np.bincount(rng.integers(0, units, units), minlength=units)[members]
    weights.flags.writeable = False
    return weights


def percentile_estimate(values: NDArray[np.float64], n: int, confidence: float) -> Estimate:
    """Percentile interval (Efron and Tibshirani, 1993, ch. 13) of a metric's replicates.

    Args:
        values: the metric for each row of `resampling_weights`, [1 + replicates].
        n: samples behind it.
        confidence: two-sided, in (0, 1).

    Assumes independent samples. Undefined replicates are left out; they are counted in the
    method's name, since an interval that rests on few of them is worth little. The mean of the
    replicates less the value is the bootstrap's estimate of bias, named too: of AP it is not small.
    """
    replicates = values[1:]
    defined = replicates[np.isfinite(replicates)]
    method = f"percentile bootstrap, {len(replicates)} replicates"
    if np.isnan(values[0]) or defined.size == 0:
        return Estimate(float("nan"), float("nan"), float("nan"), confidence, n, "undefined")
    if defined.size < replicates.size:
        method += f", {replicates.size - defined.size} undefined"
    method += f", bias {defined.mean() - values[0]:+.2g}"
    tail = (1 - confidence) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Estimate(float(values[0]), float(low), float(high), confidence, n, method)
