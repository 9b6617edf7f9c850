"""Two sets of timed rounds, or of windows in which energy was measured."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from quantbench.stats.comparison import Comparison

if TYPE_CHECKING:
    from numpy.typing import NDArray

ENERGY_RATIO = "ratio of joules in windows, Hodges-Lehmann with Mann-Whitney interval"
_MOST = 1000  # rounds a side whose pairs are compared


@dataclass(frozen=True)
class TimeRatio(Comparison):
    """Ratio of two times, or joules, less one: .1 is ten per cent slower.

    The median of all pairwise ratios (Hodges and Lehmann, 1963); p-values are those of the rank
    test of Mann and Whitney on times scaled to the bound (exact for up to 8 rounds a side), and
    bounds the ratios that it does not reject: no mean, no normality, and one slow round is one
    slow round. Too few rounds to reject anything leave a bound open. Assumes that rounds are
    exchangeable within a side; a machine that drifts between the two sides is not excluded by any
    statistic.

    Attributes:
        quantized: seconds of each round.
        reference: seconds of each round of the reference.
        sign: -1 for the mirrored comparison.
    """

    quantized: NDArray[np.float64]
    reference: NDArray[np.float64]
    sign: int = 1
    method: str = "ratio of times, Hodges-Lehmann with Mann-Whitney interval"

    @property
    def n(self) -> int:  # type: ignore[override]
        """Rounds of the side that has fewer."""
        return min(len(self.quantized), len(self.reference))

    @cached_property
    def _ratios(self) -> NDArray[np.float64]:
        """All pairwise ratios, sorted."""
        one, other = (_spaced(side) for side in (self.quantized, self.reference))
        return np.sort((one[:, None] / other[None, :]).ravel())

    @property
    def value(self) -> float:  # type: ignore[override]
        """The median ratio less one."""
        return self.sign * float(np.median(self._ratios) - 1)

    @cached_property
    def spread(self) -> float:  # type: ignore[override]
        """Of one round, as the interval's width has it."""
        low, high = self.bounds(0.05)
        return float((high - low) / (2 * 1.645) * self.n**0.5)

    def mirrored(self) -> TimeRatio:
        """A gain is less time."""
        return TimeRatio(self.quantized, self.reference, -self.sign, self.method)

    def p_at_most(self, bound: float) -> float:
        """p-value against "the true difference is at most `bound`"."""
        return self._p(1 + self.sign * bound, "greater" if self.sign > 0 else "less")

    def bounds(self, alpha: float) -> tuple[float, float]:
        """The ratios that the test does not reject, from either side."""
        least, most = self._last_rejected(alpha, "greater"), self._last_rejected(alpha, "less")
        ends = (least - 1, most - 1)
        return ends if self.sign > 0 else (-ends[1], -ends[0])

    def _last_rejected(self, alpha: float, alternative: str) -> float:
        """By bisection over the pairwise ratios, between which nothing changes."""
        upward = alternative == "greater"
        ratios = self._ratios if upward else self._ratios[::-1]
        nudge = 1e-9 if upward else -1e-9  # just past the ratio: no ties
        low, high = -1, len(ratios)
        while high - low > 1:
            middle = (low + high) // 2
            rejected = self._p(float(ratios[middle]) * (1 - nudge), alternative) <= alpha
            low, high = (middle, high) if rejected else (low, middle)
        return float(ratios[low]) if low >= 0 else (-np.inf if upward else np.inf)

    def _p(self, ratio: float, alternative: str) -> float:
        from scipy.stats import mannwhitneyu

        if ratio <= 0:
            return 0.0 if alternative == "greater" else 1.0
        one, other = (_spaced(side) for side in (self.quantized, self.reference))
        return float(mannwhitneyu(one / ratio, other, alternative=alternative).pvalue)


def _spaced(rounds: NDArray[np.float64]) -> NDArray[np.float64]:
    """At most 1,000 of them, evenly spaced in time."""
    if len(rounds) <= _MOST:
        return rounds
    return np.asarray(rounds[np.linspace(0, len(rounds) - 1, _MOST).round().astype(int)])
