"""The bootstrap over samples, as weights: a draw of n samples is n counts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np

from quantbench.stats.comparison import Comparison, Estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

REPLICATES = 1000
SEED = 0
_SEEN = 10  # draws beyond a quantile, below which it is not read off them
_FEW = 20.0  # degrees of freedom below which a handful of samples carries the difference


@lru_cache(maxsize=2)
def resampling_weights(
    n: int, replicates: int = REPLICATES, seed: int = SEED
) -> NDArray[np.float64]:
    """Weights [1 + replicates, n]: ones first, then counts of n draws with replacement.

    The same n and seed give the same draws, so that two models seen on the same samples are
    resampled together (a paired bootstrap). Read-only: it is kept for the next caller.
    """
    rng = np.random.default_rng(seed)
    weights = np.empty((1 + replicates, n))
    weights[0] = 1
    for row in weights[1:]:
        row[:] = np.bincount(rng.integers(0, n, n), minlength=n)
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


@dataclass(frozen=True)
class PairedBootstrap(Comparison):
    """Difference of any function of the samples, both models under the same draws.

    BCa interval (Efron, JASA 82, 1987), its acceleration from each sample's influence, which is
    the covariance of its count with the replicates (Efron, JASA 109, 2014); the distance of its
    ends to the value is stretched by Student's t over the normal on as many degrees of freedom as
    the influences' kurtosis leaves (Box, 1953). Where these are fewer than 20, a handful of
    samples carries the difference; then what no sample has shown yet is allowed for: a change that
    n samples do not show may still hit a share of 1 - alpha^(1/n) of all (the rule of three), each
    at a whole unit of the metric. Assumes independent samples.

    Attributes:
        replicates: quantized - reference under `resampling_weights`, [1 + replicates].
        n: samples.
    """

    replicates: NDArray[np.float64]
    n: int

    @property
    def method(self) -> str:  # type: ignore[override]
        """With the bootstrap's own estimate of the difference's bias."""
        bias = float(np.mean(self._defined) - self.value) if self._defined.size else 0.0
        return f"paired bootstrap, BCa, {self._defined.size} draws, bias {bias:+.1g}"

    @property
    def value(self) -> float:  # type: ignore[override]
        """The difference on the samples as they are."""
        return float(self.replicates[0])

    @cached_property
    def spread(self) -> float:  # type: ignore[override]
        """The replicates' standard deviation times the square root of n."""
        return float(np.std(self._defined) * self.n**0.5)

    def mirrored(self) -> PairedBootstrap:
        """Of the negatives."""
        return PairedBootstrap(-self.replicates, self.n)

    @cached_property
    def _defined(self) -> NDArray[np.float64]:
        replicates = self.replicates[1:]
        return np.sort(replicates[np.isfinite(replicates)])

    @cached_property
    def _shape(self) -> tuple[float, float, float]:
        """Bias and acceleration of BCa, and degrees of freedom."""
        from scipy.special import ndtri

        kept = np.isfinite(self.replicates[1:])
        replicates, draws = self.replicates[1:][kept], int(kept.sum())
        error = float(np.std(replicates))
        if error <= 1e-12 * max(abs(self.value), 1e-3):  # nothing but rounding moves
            return 0.0, 0.0, 0.0
        centred = (replicates - replicates.mean()) / error
        counts = resampling_weights(self.n, len(kept))[1:]
        influence = centred @ (counts if kept.all() else counts[kept]) / draws
        below = (replicates < self.value).mean() + 0.5 * (replicates == self.value).mean()
        bias = float(ndtri(np.clip(below, 1 / draws, 1 - 1 / draws)))
        acceleration = float((influence**3).sum() / 6)
        # Of the fourth powers, less what the draws' own noise adds to them.
        fourth = float((influence**4).sum()) - 6 / draws - 3 * self.n / draws**2
        freedom = 2 / max(fourth - 1 / self.n, 2 / (self.n - 1))  # one sample never varies
        return bias, acceleration, freedom

    def bounds(self, alpha: float) -> tuple[float, float]:
        """One-sided bounds."""
        from scipy.special import ndtr, ndtri, stdtrit

        bias, acceleration, freedom = self._shape
        unseen = float(1 - alpha ** (1 / self.n)) if freedom < _FEW else 0.0
        if freedom == 0:
            return self.value - unseen, self.value + unseen
        ends = []
        for tail in (alpha, 1 - alpha):
            z = float(ndtri(tail))
            moved = float(ndtr(bias + (bias + z) / max(1 - acceleration * (bias + z), 0.1)))
            away = float(np.quantile(self._defined, moved)) - self.value
            if alpha < _SEEN / len(self._defined):  # beyond what the draws can show
                away = z * max(abs(away) / abs(z), self.spread / self.n**0.5)
            stretch = float(stdtrit(max(freedom, 1.0), tail)) / z if z else 1.0
            ends.append(self.value + stretch * away)
        return min(ends[0], self.value) - unseen, max(ends[1], self.value) + unseen

    def p_at_most(self, bound: float) -> float:
        """At least one over the draws: they can show no less."""
        return max(super().p_at_most(bound), 1 / (len(self._defined) + 1))
