"""Two sets of timed rounds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from quantbench.stats.comparison import Comparison

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST = 1000  # rounds a side whose pairs are compared


@dataclass(frozen=True)
class TimeRatio(Comparison):
    """Ratio of two times less one: .1 is ten per cent slower.

    The median of all pairwise ratios (Hodges and Lehmann, 1963) with the interval that the rank
    test of Mann and Whitney does not reject: no mean, no normality, and one slow round is one
    slow round. Assumes that rounds are exchangeable within a side; a machine that drifts between
    the two sides is not excluded by any statistic.

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
        """Logarithms of all pairwise ratios, sorted."""
        logs = [np.log(_spaced(side)) for side in (self.quantized, self.reference)]
        return np.sort((logs[0][:, None] - logs[1][None, :]).ravel())

    @property
    def value(self) -> float:  # type: ignore[override]
        """The median ratio less one."""
        return self.sign * float(np.expm1(np.median(self._ratios)))

    @cached_property
    def spread(self) -> float:  # type: ignore[override]
        """Of one round, as the interval's width has it."""
        low, high = self.bounds(0.05)
        return float((high - low) / (2 * 1.645) * self.n**0.5)

    def mirrored(self) -> TimeRatio:
        """A gain is less time."""
        return TimeRatio(self.quantized, self.reference, -self.sign)

    def bounds(self, alpha: float) -> tuple[float, float]:
        """Order statistics of the pairwise ratios."""
        from scipy.special import ndtri

        m, n = (min(len(side), _MOST) for side in (self.quantized, self.reference))
        half = float(ndtri(1 - alpha)) * (m * n * (m + n + 1) / 12) ** 0.5
        last = m * n - 1
        low, high = (
            self._ratios[int(np.clip(place, 0, last))]
            for place in (np.floor(m * n / 2 - half), np.ceil(m * n / 2 + half) - 1)
        )
        ends = sorted(self.sign * float(np.expm1(end)) for end in (low, high))
        return ends[0], ends[1]


def _spaced(rounds: NDArray[np.float64]) -> NDArray[np.float64]:
    """At most 1,000 of them, evenly spaced in time."""
    if len(rounds) <= _MOST:
        return rounds
    return np.asarray(rounds[np.linspace(0, len(rounds) - 1, _MOST).round().astype(int)])
