"""The paired difference of a metric that is no mean over samples, such as average precision."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from quantbench.stats.comparison import Comparison

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from quantbench.protocols import Influence

_BROAD = 15.0  # degrees of freedom up to which the unseen counts in full
_MANY = 50.0  # samples up to which it does
_ROUNDING = 1e-12  # of the value: what is less is no change


@dataclass(frozen=True)
class PairedInfluence(Comparison):
    """Difference of two metrics that are means over C strata (categories), on the same samples.

    A normal-theory interval from influences, with four corrections for few samples a stratum.
    Let a_ci be what sample i moves stratum c (quantized - reference), m_c the samples that show c.

    - *Variance.* The sum over samples of (sum_c a_ci sqrt(m_c / (m_c - 1)) / C)^2: each stratum's
      variance is unbiased as that of a mean of m_c samples, covariances between strata are those
      within samples. A stratum that one sample shows never varies: it gets the variance of one
      sample pooled over the other strata.
    - *Degrees of freedom.* Of that variance, by Satterthwaite (Biometrics 2, 1946): the least of
      what the m_c - 1 of each stratum leave, what the kurtosis over samples leaves (Box,
      Biometrika 40, 1953), and n - 1. Student's t on these.
      Where nothing varies but in strata of one sample, no bound is claimed.
    - *Skewness.* The shift of Johnson's t (JASA 73, 1978); an end is moved outward only.
    - *What no sample showed.* A failure that n samples do not show may still hit a share of up to
      1 - alpha^(1/n) of all (the rule of three; n counts samples that show any category). If
      these samples lose all that they have, each category loses that share of its recall at
      unchanged precision, so AP falls by that share *of the reference's AP* (`down`). That they
      gain more than they could lose is left out. The two parts are joined as the root of the sum
      of their squares (MOVER: Zou and Donner, Statistics in Medicine 27, 2008). The second one
      shrinks with the share 15 / degrees of freedom, where that shows that the change is spread
      over many samples, but not below 50 / n: few samples miss a rare failure too easily.

    The estimated quantity is the expected difference on data sets of this size, over the
    categories that they show: AP depends on the number of images. Bounds lie around the difference
    without the jumps of AP's 101 recall levels (`centre`), and hold that with them. Assumes
    independent samples, or independent groups. A metric that sums up absolute values lies above
    what it estimates; the bounds are as much wider as that may differ between the two (`slack`).
    An unseen sample could break the bounds if its new
    false detections outscore true ones elsewhere: the share of its own objects does not bound that.

    Attributes:
        value: quantized - reference on the samples as they are.
        change: a_ci, [strata, units]; units are samples, or groups of them.
        shown: whether a unit shows a stratum, [strata, units].
        down: how far the reference can fall.
        up: how far it can rise.
        n: samples behind the units.
        groups: that the samples come in, where the units are groups.
        centre: the difference without the jumps of the metric's definition, where it has such: the
            bounds lie around it, and hold `value`. AP's 101 recall levels jump by a hundredth,
            which of 5,000 images is as much as chance.
        slack: how far the expected difference may lie below and above the true one's, where the
            metric sums up absolute values (`_slack`).
    """

    value: float
    change: NDArray[np.float64]
    shown: NDArray[np.bool_]
    down: float
    up: float
    n: int
    groups: int | None = None
    centre: float | None = None
    slack: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def between(
        cls,
        values: tuple[float, float],
        influences: tuple[Influence, Influence],
        *,
        relative: bool = False,
        lower_is_better: bool = False,
        groups: NDArray[np.int64] | None = None,
    ) -> PairedInfluence:
        """Of the quantized model's metric and the reference's, on the same samples in one order.

        Args:
            values: of both.
            influences: of both.
            relative: the difference is a share of the reference's value, by the delta method.
            lower_is_better: an increase is a loss.
            groups: number of each sample's group, from 0, [samples]; sums over a group's samples
                then take a sample's place (Liang and Zeger, Biometrika 73, 1986).
        """
        (value, was), (mine, its) = values, influences
        centre = _centre(values, influences, relative=relative)
        change, difference, unit = mine.change - its.change, value - was, 1.0
        if relative:
            change, difference = (mine.change - value / was * its.change) / was, value / was - 1
            unit = was
        shown = mine.shown | its.shown
        kept = shown.any(axis=1)  # a stratum that no sample shows has no say
        change, shown = change[kept], shown[kept]
        n, count = change.shape[1], None
        slack = _slack(mine, its, groups)
        if groups is not None:
            change, shown = by_group(change, groups), by_group(shown, groups) > 0
            count = change.shape[1]
        least, most = min(mine.least, its.least), max(mine.most, its.most)
        down, up = max(was - least, 0.0) / unit, max(most - was, 0.0) / unit
        # Unseen samples are assumed to gain no more than they could lose.
        down, up = (min(down, up), up) if lower_is_better else (down, min(up, down))
        slack = slack[0] / unit, slack[1] / unit
        return cls(difference, change, shown, down, up, n, count, centre, slack)

    @property
    def units(self) -> int:
        """Groups where there are any, else samples."""
        return self.change.shape[1]

    @property
    def seen(self) -> int:
        """Units that show anything: one that shows nothing has nothing to lose."""
        return int(self.shown.any(axis=0).sum())

    @property
    def reach(self) -> float:  # type: ignore[override]
        """How far the reference can fall."""
        return self.down

    @property
    def method(self) -> str:  # type: ignore[override]
        """With what the interval stands on."""
        strata = f" over {len(self.shown)} categories" if len(self.shown) > 1 else ""
        return f"paired influences{strata}, t on {self._moments.freedom:.0f} degrees of freedom"

    @property
    def spread(self) -> float:  # type: ignore[override]
        """Of one unit: the standard error times the square root of the units."""
        return float((self._moments.variance * self.units) ** 0.5)

    @property
    def _nowhere_repeated(self) -> bool:
        """Whether something changed where only one unit shows it: how it varies is not known."""
        alone = self.shown.sum(axis=1) < 2  # noqa: PLR2004 - one never varies
        rounding = _ROUNDING * max(abs(self.value), 1e-3)
        return bool(alone.any()) and abs(self.value) > rounding

    def mirrored(self) -> PairedInfluence:
        """Of the negatives."""
        return replace(
            self,
            value=-self.value,
            centre=None if self.centre is None else -self.centre,
            change=-self.change,
            down=self.up,
            up=self.down,
            slack=self.slack[::-1],
        )

    @cached_property
    def _moments(self) -> _Moments:
        return _moments(self.change, self.shown.sum(axis=1), self.value)

    def bounds(self, alpha: float) -> tuple[float, float]:
        """One-sided bounds."""
        from scipy.special import stdtrit

        unseen = float(1 - alpha ** (1 / self.seen)) if self.seen else 1.0
        found = self._moments
        if found.variance == 0:
            if self._nowhere_repeated:
                return -np.inf, np.inf
            down, up = unseen * self.down + self.slack[0], unseen * self.up + self.slack[1]
            return self.value - down, self.value + up
        # Of a bound that is to miss more often than not (alpha over .5) nothing is asked.
        t = max(float(stdtrit(max(found.freedom, 1.0), 1 - alpha)), 0.0)
        shift = found.third / found.variance * (1 + 2 * t * t) / 6
        half = t * found.variance**0.5
        unseen *= min(1.0, max(_BROAD / found.freedom, _MANY / self.seen))
        middle = self.value if self.centre is None else self.centre
        low = middle - float(np.hypot(half - min(shift, 0.0), unseen * self.down))
        high = middle + float(np.hypot(half + max(shift, 0.0), unseen * self.up))
        return min(low, self.value) - self.slack[0], max(high, self.value) + self.slack[1]


def _slack(
    mine: Influence, its: Influence, groups: NDArray[np.int64] | None
) -> tuple[float, float]:
    """How much chance may have added to the one sum of absolute values and not to the other.

    A term's mean absolute value exceeds the absolute value of its mean by at most
    sqrt(2 / pi) standard errors (the folded normal's, at 0: Leone, Nelson, Nottingham,
    Technometrics 3, 1961); of two terms the excess differs by no more than their means and
    sqrt(2 / pi) of their errors do, for it moves with neither faster than that.

    Returns:
        Of the first over the second, by which the difference may be too high, and the reverse.
    """
    if mine.folded is None or its.folded is None:
        return 0.0, 0.0
    parts = [
        each if groups is None else by_group(each, groups) for each in (mine.folded, its.folded)
    ]
    totals = [part.sum(axis=1) for part in parts]
    units = parts[0].shape[1]
    chance = [
        (2 / np.pi * units / max(units - 1, 1) * part.var(axis=1) * units) ** 0.5 for part in parts
    ]
    apart = np.abs(totals[0] - totals[1]) + np.abs(chance[0] - chance[1])
    over, under = (float(np.minimum(each, apart).sum()) for each in chance)
    return over, under


def _centre(
    values: tuple[float, float], influences: tuple[Influence, Influence], *, relative: bool
) -> float | None:
    """Of the smooth values, where the metric has such; as a share of the reference's."""
    mine, its = (influence.smooth for influence in influences)
    if mine is None or its is None:
        return None
    (value, was) = values
    # To first order, as the derivatives are: smooth and real values differ by little.
    return (
        value / was - 1 + (mine - value - value / was * (its - was)) / was
        if relative
        else mine - its
    )


@dataclass(frozen=True)
class _Moments:
    """Of the mean over strata: variance, third central moment, degrees of freedom."""

    variance: float
    third: float
    freedom: float


def _moments(change: NDArray[np.float64], shown: NDArray[np.int64], value: float) -> _Moments:
    strata, units = change.shape
    several = shown >= 2  # noqa: PLR2004 - one never varies
    repeated, m = change[several], shown[several].astype(np.float64)[:, None]
    alone = int((~several).sum())
    spare = max(float((m - 1).sum()), 1.0)
    # What one unit adds, of strata that several show; then of those that one shows, pooled.
    own = (repeated * (m / np.maximum(m - 1, 1)) ** 0.5).sum(axis=0) / strata
    pooled = alone / strata**2 * ((m * repeated) ** 2).sum(axis=0) / spare
    parts = own**2 + pooled
    variance = float(parts.sum())
    if variance <= (_ROUNDING * max(abs(value), 1e-3)) ** 2:
        return _Moments(0.0, 0.0, 0.0)
    third = float((own**3).sum() + alone / strata**3 * ((m * repeated) ** 3).sum() / spare)
    within = (repeated**2).sum(axis=1, keepdims=True) * m / np.maximum(m - 1, 1) / strata**2
    # Twice the square of a variance over its degrees of freedom is the variance of its estimate.
    by_strata = float((2 * within**2 / np.maximum(m - 1, 1)).sum() + 2 * pooled.sum() ** 2 / spare)
    by_units = float((parts**2).sum() - variance**2 / units)
    fewest = 2 * variance**2 / max(units - 1, 1)
    return _Moments(variance, third, 2 * variance**2 / max(by_strata, by_units, fewest))


def by_group(
    values: NDArray[np.float64] | NDArray[np.bool_], groups: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Sums over the samples of each group, [strata, samples] -> [strata, groups]."""
    count = int(groups.max()) + 1
    return np.array([np.bincount(groups, row, count) for row in values], dtype=np.float64)
