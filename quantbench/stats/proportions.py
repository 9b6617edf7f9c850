"""Two proportions on the same samples, and one alone.

Of paired right-or-wrong answers only two counts matter: losses (right before, wrong now) and
gains. Where they are many, Tango's score interval (Statistics in Medicine 17, 1998); where they
are few, its score as the order of an exact unconditional test, the worst case taken over the
unknown flip rate (Suissa and Shuster, Biometrics 47, 1991) within a region that holds it almost
surely (Berger and Boos, JASA 89, 1994). Both assume independent samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.stats.comparison import Comparison, Estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEW = 50  # flips, below which the exact test is used
_GAMMA = 1e-6  # probability that the flip rate is outside the region searched
_GRID = 40
_NEGLIGIBLE = 1e-9  # probability of the losses left out on each side
_STEPS = 40  # of a bisection over differences in [-1, 1]


def wilson(successes: int, n: int, confidence: float) -> Estimate:
    """A proportion with Wilson's score interval (JASA 22, 1927)."""
    from scipy.special import ndtri

    z = float(ndtri((1 + confidence) / 2))
    share = successes / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    low, high = max(middle - half, 0.0), min(middle + half, 1.0)
    return Estimate(share, low, high, confidence, n, "Wilson score")


@dataclass(frozen=True)
class PairedProportions(Comparison):
    """Difference of two proportions on the same n samples.

    Attributes:
        losses: samples that only the reference has right.
        gains: samples that only the quantized model has right.
        n: samples.
    """

    losses: int
    gains: int
    n: int

    @classmethod
    def of(cls, quantized: NDArray[np.bool_], reference: NDArray[np.bool_]) -> PairedProportions:
        """From right or wrong, [samples] each, in the same order."""
        losses, gains = int((reference & ~quantized).sum()), int((quantized & ~reference).sum())
        return cls(losses, gains, len(quantized))

    @property
    def value(self) -> float:  # type: ignore[override]
        """Gains less losses, over n."""
        return (self.gains - self.losses) / self.n

    @property
    def spread(self) -> float:  # type: ignore[override]
        """Of one sample's difference, which is -1, 0 or 1."""
        return float(((self.losses + self.gains) / self.n - self.value**2) ** 0.5)

    @property
    def method(self) -> str:  # type: ignore[override]
        """Which of the two the number of flips asks for."""
        if self._few:
            return (
                "paired proportions, exact unconditional score test (Suissa-Shuster, Berger-Boos)"
            )
        return "paired proportions, Tango score"

    @property
    def _few(self) -> bool:
        return self.losses + self.gains < FEW

    def mirrored(self) -> PairedProportions:
        """Losses for gains."""
        return PairedProportions(self.gains, self.losses, self.n)

    def bounds(self, alpha: float) -> tuple[float, float]:
        """By bisection: the differences that the test does not reject, from either side."""
        return _lower(self.losses, self.gains, self.n, alpha), -_lower(
            self.gains, self.losses, self.n, alpha
        )

    def p_at_most(self, bound: float) -> float:
        """p-value against "the true difference is at most `bound`"."""
        return _p_value(self.losses, self.gains, self.n, bound)


@lru_cache(maxsize=4096)
def _lower(losses: int, gains: int, n: int, alpha: float) -> float:
    low, high = -1.0, (gains - losses) / n
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _p_value(losses, gains, n, middle) <= alpha:
            low = middle
        else:
            high = middle
    return low


def _p_value(losses: int, gains: int, n: int, bound: float) -> float:
    from scipy.special import ndtr

    if losses + gains < FEW:
        return _exact(losses, gains, n, bound)
    return float(ndtr(-_score(np.asarray(losses), np.asarray(gains), n, bound)))


def _score(losses: NDArray[Any], gains: NDArray[Any], n: int, bound: float) -> NDArray[Any]:
    """Standardised distance of the difference from `bound`, its variance estimated there."""
    # Likeliest share of losses p when that of gains is p + bound: the larger root of
    # 2 n p^2 - slope p - losses bound (1 - bound).
    slope = losses + gains + (gains - losses) * bound - 2 * n * bound
    root = np.sqrt(np.maximum(slope**2 + 8 * n * losses * bound * (1 - bound), 0.0))
    share = np.clip((slope + root) / (4 * n), max(0.0, -bound), None)
    variance = np.maximum(2 * share + bound * (1 - bound), 0.0) / n
    distance = (gains - losses) / n - bound
    known = variance > 0
    scored = distance / np.sqrt(np.where(known, variance, 1.0))
    return np.where(known | (distance == 0), scored, np.copysign(np.inf, distance))


def _exact(losses: int, gains: int, n: int, bound: float) -> float:
    """Probability, at the worst flip rate, of a score as high as the one seen."""
    from scipy.special import bdtr, bdtrc, betaincinv, gammaln, xlog1py, xlogy

    if bound <= -1:
        return _GAMMA
    flips = losses + gains
    # The flip rate is within this region but for _GAMMA (Clopper and Pearson).
    low = float(betaincinv(flips, n - flips + 1, _GAMMA / 2)) if flips else 0.0
    high = float(betaincinv(flips + 1, n - flips, 1 - _GAMMA / 2)) if flips < n else 1.0
    rates = np.linspace(max(low, abs(bound)), max(high, abs(bound)), _GRID)
    lost = np.clip((rates - bound) / 2, 1e-300, 1 - 1e-15)  # each grid point's share of losses
    gained = np.clip((rates + bound) / 2, 0.0, 1.0)
    most = n
    while most > 0 and bdtrc(most // 2, n, lost.max()) < _NEGLIGIBLE:
        most //= 2
    seen = np.arange(most + 1)
    least = _fewest_gains(
        seen, n, bound, float(_score(np.asarray(losses), np.asarray(gains), n, bound))
    )
    choose = gammaln(n + 1) - gammaln(seen + 1) - gammaln(n - seen + 1)
    chance = np.exp(
        choose + xlogy(seen, lost[:, None]) + xlog1py(n - seen, -lost[:, None])
    )  # of so many losses, [grid, losses]
    rest = n - seen
    share = np.clip(gained / (1 - lost), 0.0, 1.0)[:, None]
    reached = np.where(least <= 0, 1.0, 1 - bdtr(least - 1, np.maximum(rest, 1), share))
    reached = np.where(least > rest, 0.0, reached)
    return float(min((chance * reached).sum(axis=1).max() + _GAMMA, 1.0))


def _fewest_gains(losses: NDArray[Any], n: int, bound: float, score: float) -> NDArray[np.int64]:
    """For so many losses, the gains from which on the score is reached; more than fit if never."""
    low: NDArray[np.int64] = np.full(len(losses), -1, np.int64)  # not reached
    high = n - losses + 1  # counts as reached
    while (high - low > 1).any():
        middle = (low + high) // 2
        reached = _score(losses, middle, n, bound) >= score - 1e-12 * max(1.0, abs(score))
        open_ = high - low > 1
        high = np.where(open_ & reached, middle, high)
        low = np.where(open_ & ~reached, middle, low)
    return high
