"""Two means on the same samples."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from quantbench.stats.comparison import Comparison

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FEWEST = 25.0  # degrees of freedom below which nothing is claimed


@dataclass(frozen=True)
class PairedMeans(Comparison):
    """Mean of paired differences of a metric without known bounds, such as log-probability.

    Student's t, moved for skewness (Johnson, JASA 73, 1978), on as many degrees of freedom as the
    kurtosis leaves to the variance (Box, Biometrika 40, 1953): 2 n / (kurtosis - 1). Where these
    are fewer than 25, a handful of samples carries the difference, and no bound is claimed: the
    interval is infinite. Where nothing changed at all, what n samples do not show may still hit a
    share of 1 - alpha^(1/n) of all, each by `scale`. Assumes independent samples.

    Attributes:
        differences: quantized - reference, [samples].
        scale: the most that one sample is taken to change, where none did: the metric's range
            over the samples.
    """

    differences: NDArray[np.float64]
    scale: float = float("inf")
    method: str = "paired means, skewness-adjusted t (Johnson), Box's degrees of freedom"

    @property
    def value(self) -> float:  # type: ignore[override]
        """Their mean."""
        return float(self.differences.mean())

    @property
    def n(self) -> int:  # type: ignore[override]
        """Their number."""
        return len(self.differences)

    @cached_property
    def spread(self) -> float:  # type: ignore[override]
        """Their standard deviation."""
        return float(self.differences.std(ddof=1)) if self.n > 1 else 0.0

    def mirrored(self) -> PairedMeans:
        """Of the negatives."""
        return PairedMeans(-self.differences, self.scale)

    @cached_property
    def _shape(self) -> tuple[float, float]:
        """Skewness, and degrees of freedom."""
        centred = self.differences - self.value
        second, third, fourth = (float(np.mean(centred**power)) for power in (2, 3, 4))
        if second == 0 or self.spread < 1e-12 * abs(self.value):
            return 0.0, 0.0
        # At most n - 1 of them; of one sample nothing is left here.
        excess = max(fourth / second**2 - 1, 2 * self.n / (self.n - 1))
        return third / second**1.5, 2 * self.n / excess

    def bounds(self, alpha: float) -> tuple[float, float]:
        """One-sided bounds; infinite where too few samples carry the difference."""
        from scipy.special import stdtrit

        if not self.differences.any() and np.isfinite(self.scale):
            unseen = float(1 - alpha ** (1 / self.n)) * self.scale
            return -unseen, unseen
        skewness, freedom = self._shape
        if freedom < _FEWEST:
            return -np.inf, np.inf
        t = float(stdtrit(freedom, 1 - alpha))
        error = self.spread / self.n**0.5
        shift = skewness * self.spread / self.n * (1 + 2 * t * t) / 6
        return self.value + shift - t * error, self.value + shift + t * error
