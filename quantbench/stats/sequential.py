"""Paired differences judged again and again while they come in.

Betting (Waudby-Smith and Ramdas, JRSS B 86, 2024): against "the mean is at most m", a gambler
stakes a share of his capital on each difference being larger. If the claim holds his capital is
not expected to grow, whatever he has seen, so the chance that it ever reaches 1 / alpha is at
most alpha (Ville, 1939): one may look after every sample, and stop when one likes. Here the
capital is spread over a grid of constant stakes, a mixture that needs no tuning; on differences
of -1, 0 and 1 it depends on their counts alone. What he had at his best counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from quantbench.stats.comparison import Comparison

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STAKES = np.geomspace(0.002, 0.95, 24)  # shares of the largest stake that cannot ruin
_STEPS = 40  # of a bisection over means in [-1, 1]


@dataclass(frozen=True)
class BettingDifference(Comparison):
    """Mean of paired differences in [-1, 1], with bounds that hold at every sample size at once.

    Assumes that the samples come in a random order, or are independent.

    Attributes:
        differences: quantized - reference in the order in which they were seen, [samples].
    """

    differences: NDArray[np.float64]
    method: str = "betting confidence sequence, valid at every stop (Waudby-Smith and Ramdas)"

    @property
    def value(self) -> float:  # type: ignore[override]
        """Their mean."""
        return float(self.differences.mean())

    @property
    def n(self) -> int:  # type: ignore[override]
        """How many were seen."""
        return len(self.differences)

    @cached_property
    def spread(self) -> float:  # type: ignore[override]
        """Their standard deviation."""
        return float(self.differences.std())

    def mirrored(self) -> BettingDifference:
        """Of the negatives."""
        return BettingDifference(-self.differences)

    @cached_property
    def _counts(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The values, and how often each was seen after every change, [changes, values]."""
        values, kinds = np.unique(self.differences, return_inverse=True)
        seen = np.cumsum(kinds[:, None] == np.arange(len(values)), axis=0, dtype=np.float64)
        # Where nothing changed for a while, only the last of these samples can be the highest.
        changed = np.append(self.differences[1:] != self.differences[:-1], True)
        return values, seen[changed]

    def capital(self, bound: float) -> float:
        """The most that 1 ever grew to by betting against "the mean is at most `bound`", >= 1.

        The chance that it reaches 1 / alpha if the claim holds is at most alpha, however many
        samples are looked at: so the highest may stand for all, and bounds never widen again.
        """
        values, seen = self._counts
        # The most that a difference of -1 can take is the whole stake.
        stakes = _STAKES / (1 + bound)
        grown = seen @ np.log1p(np.outer(values - bound, stakes))
        highest = float(np.logaddexp.reduce(grown, axis=1).max() - np.log(len(stakes)))
        return float(np.exp(min(max(highest, 0.0), 700.0)))  # beyond that a float ends

    def bounds(self, alpha: float) -> tuple[float, float]:
        """The means that the bets against them have not refuted, from either side."""
        return self._lower(alpha), -self.mirrored()._lower(alpha)  # noqa: SLF001 - its own kind

    def _lower(self, alpha: float) -> float:
        low, high = -1 + 1e-9, self.value
        if self.capital(low) < 1 / alpha:
            return -1.0
        for _ in range(_STEPS):
            middle = (low + high) / 2
            low, high = (middle, high) if self.capital(middle) >= 1 / alpha else (low, middle)
        return low

    def p_at_most(self, bound: float) -> float:
        """One over the capital: a p-value whenever one stops (Vovk and Wang, 2021)."""
        return 1 / self.capital(max(bound, -1 + 1e-9))
