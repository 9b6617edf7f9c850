"""Sequential tests of paired differences, valid at every look.

Betting (Waudby-Smith and Ramdas, JRSS B 86, 2024): against "the mean is at most m", a gambler
stakes a share of his capital on each difference being larger. If the claim holds his capital is
not expected to grow, whatever he has seen, so the chance that it ever reaches 1 / alpha is at
most alpha (Ville, 1939): one may look after every sample, and stop when one likes. Here the
capital is spread over a grid of constant stakes, a mixture that needs no tuning; on differences
of -1, 0 and 1 it depends on their counts alone. What he had at his best counts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from quantbench.stats.comparison import Comparison

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Shares of the largest stake that cannot ruin. The best one is margin / variance; few of them cost
# little: eight took 10 % fewer samples to a verdict than 24 from .002 on.
_STAKES = np.geomspace(0.02, 0.95, 8)
_STEPS = 40  # of a bisection over means in [-1, 1]


@dataclass(frozen=True)
class BettingDifference(Comparison):
    """Mean of paired differences in [-1, 1], with bounds that hold at every sample size at once.

    Assumes that the samples come in a random order, or are independent. Where they come in groups,
    a bet is on a whole group's total: groups must come in a random order, all of them complete.

    Attributes:
        differences: quantized - reference in the order in which they were seen, [samples]; or
            totals of groups, [groups].
        sizes: samples of each group, [groups]; None where samples come one by one.
        largest: the most samples of any group, seen or not.
    """

    differences: NDArray[np.float64]
    sizes: NDArray[np.float64] | None = None
    largest: float = 1.0
    method: str = "betting confidence sequence, valid at every stop (Waudby-Smith and Ramdas)"

    @classmethod
    def by_group(
        cls, differences: NDArray[np.float64], numbers: NDArray[np.int64]
    ) -> BettingDifference:
        """Of those groups that are complete.

        Args:
            differences: of the samples seen so far, [samples].
            numbers: of the group of every sample, seen or not, in the order in which they come.
        """
        whole = np.bincount(numbers)
        seen = np.bincount(numbers[: len(differences)], minlength=len(whole))
        totals = np.bincount(numbers[: len(differences)], differences, len(whole))
        order = numbers[np.sort(np.unique(numbers, return_index=True)[1])]
        complete = order[(seen == whole)[order]]
        return cls(totals[complete], whole[complete].astype(np.float64), float(whole.max()))

    @cached_property
    def _sizes(self) -> NDArray[np.float64]:
        return np.ones(len(self.differences)) if self.sizes is None else self.sizes

    @property
    def value(self) -> float:  # type: ignore[override]
        """Their mean over samples."""
        total = self._sizes.sum()
        return float(self.differences.sum() / total) if total else 0.0

    @property
    def n(self) -> int:  # type: ignore[override]
        """How many samples were seen."""
        return int(self._sizes.sum())

    @property
    def groups(self) -> int | None:  # type: ignore[override]
        """How many groups, where there are any."""
        return None if self.sizes is None else len(self.sizes)

    @cached_property
    def spread(self) -> float:  # type: ignore[override]
        """Standard deviation of one sample's difference, or of one group's part in the mean."""
        if not len(self.differences):
            return 0.0
        off = self.differences - self.value * self._sizes
        return float(np.sqrt(np.mean(off**2)) / self._sizes.mean())

    def mirrored(self) -> BettingDifference:
        """Of the negatives."""
        return replace(self, differences=-self.differences)

    @cached_property
    def _counts(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Differences with their sizes, [kinds, 2], and how often each was seen after a change.

        The latter [changes, kinds].
        """
        bets = np.stack([self.differences, self._sizes], axis=1)
        kinds, which = np.unique(bets, axis=0, return_inverse=True)
        which = which.reshape(-1)
        # Where nothing changed for a while, only the last of these samples can be the highest.
        changed = np.append(which[1:] != which[:-1], True)[: len(which)]
        seen = np.zeros((len(which), len(kinds)))
        seen[np.arange(len(which)), which] = 1
        return kinds, np.cumsum(seen, axis=0)[changed]

    def capital(self, bound: float) -> float:
        """The most that 1 ever grew to by betting against "the mean is at most `bound`", >= 1.

        The chance that it reaches 1 / alpha if the claim holds is at most alpha, however many
        samples are looked at: so the highest may stand for all, and bounds never widen again.
        """
        kinds, seen = self._counts
        if not len(seen):
            return 1.0
        # The most that a group of differences of -1 can take is the whole stake.
        stakes = _STAKES / ((1 + bound) * self.largest)
        grown = seen @ np.log1p(np.outer(kinds[:, 0] - bound * kinds[:, 1], stakes))
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
