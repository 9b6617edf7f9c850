"""How many samples a gate needs, and which margin a number of samples decides: before a run.

Power is the probability of a pass, where the losses and gains are what they are said to be. For
right and wrong answers it is summed up over all that a study may show, so that it is that of the
test which will judge (`stats/proportions.py`), however few flips there are. For other metrics, and
for thousands of flips, it is the normal approximation of `gates.samples_to_decide`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quantbench.errors import UsageError
from quantbench.stats.proportions import FEW, PairedProportions

if TYPE_CHECKING:
    from collections.abc import Callable

POWER = 0.8
_NEGLIGIBLE = 1e-7  # probability of the numbers of losses that are left out on each side
_DIGITS = 3  # of a number of samples: the next sample or two may do no better
_MOST = 10_000_000  # samples
_MANY = 2_000  # flips, of which the normal approximation's power is off by less than a point


@dataclass(frozen=True)
class Flips:
    """Of answers that are right or wrong: what is assumed to be true.

    Attributes:
        lost: share of samples that only the reference has right, in [0, 1].
        gained: share of samples that only the quantized model has right.
    """

    lost: float
    gained: float

    def __post_init__(self) -> None:
        """Refuse what are no shares of one whole."""
        if not (self.lost >= 0 and self.gained >= 0 and self.lost + self.gained <= 1):
            raise UsageError(
                "losses and gains are shares of the samples",
                expected="both in [0, 1], at most 1 together",
                got=f"{self.lost:g} and {self.gained:g}",
            )

    @property
    def value(self) -> float:
        """The true difference."""
        return self.gained - self.lost

    @property
    def spread(self) -> float:
        """Of one sample's difference."""
        return float((self.lost + self.gained - self.value**2) ** 0.5)

    def power(self, n: int, margin: float, alpha: float) -> float:
        """Probability that n samples pass at this margin, each bound missing with `alpha`."""
        import numpy as np
        from scipy.stats import binom

        if n * (self.lost + self.gained) > _MANY:
            return Differences(self.value, self.spread).power(n, margin, alpha)
        low, high = (int(binom.ppf(q, n, self.lost)) for q in (_NEGLIGIBLE, 1 - _NEGLIGIBLE))
        losses = np.arange(max(low, 0), high + 1)
        passes = np.zeros(len(losses))
        share = self.gained / (1 - self.lost) if self.lost < 1 else 0.0
        few = many = 0  # gains below which none pass: where flips are few, where they are many
        for place, lost in enumerate(map(int, losses)):
            end = n - lost + 1
            turn = min(max(FEW - lost, 0), end)  # gains from which on flips are many
            few = _first(few, turn, lost, n, margin, alpha)
            first = _first(max(many, turn), end, lost, n, margin, alpha)
            many = first if first > turn else many
            gains = binom(n - lost, share)
            passes[place] = gains.cdf(turn - 1) - gains.cdf(few - 1) + gains.sf(first - 1)
        return float(passes @ binom.pmf(losses, n, self.lost))


def _first(gains: int, end: int, lost: int, n: int, margin: float, alpha: float) -> int:
    """The fewest gains from here on with which so many losses pass; `end` where none do."""
    while gains < end and PairedProportions(lost, gains, n).p_at_most(-margin) > alpha:
        gains += 1
    return min(gains, end)


@dataclass(frozen=True)
class Differences:
    """Of any other metric: what is assumed to be true.

    Attributes:
        value: the true difference (quantized - reference), a loss being negative.
        spread: standard deviation of one sample's difference, or of one group's part.
        fewest: samples, or groups, below which the approximation is not to be believed.
    """

    value: float
    spread: float
    fewest: int = 50

    def power(self, n: int, margin: float, alpha: float) -> float:
        """By the normal approximation."""
        from scipy.special import ndtr, ndtri

        if n < self.fewest or self.spread == 0:
            return float(n >= self.fewest and self.value > -margin)
        return float(ndtr((self.value + margin) / self.spread * n**0.5 - ndtri(1 - alpha)))


Truth = Flips | Differences


def samples_for(truth: Truth, margin: float, alpha: float, power: float = POWER) -> int:
    """Samples (or groups) with which the gate passes with this probability, to three digits.

    Raises:
        UsageError: no number of samples shows it: the loss is not under the margin, or only
            beyond ten million.
    """
    if truth.value + margin <= 0:
        raise UsageError(
            "no number of samples shows a loss under this margin",
            expected=f"a margin above the true loss, {-truth.value:.4g}",
            got=f"{margin:g}",
        )

    def enough(n: int) -> bool:
        return truth.power(n, margin, alpha) >= power

    most = _start(truth, margin, alpha, power)
    while not enough(most):
        most = rounded_up(1.2 * most)
        if most > _MOST:
            raise UsageError("more than ten million samples", got=f"a margin of {margin:g}")
    least = 1
    while (middle := rounded_up((least + most) / 2)) < most:
        least, most = (least, middle) if enough(middle) else (middle, most)
    return most if isinstance(truth, Flips) else max(most, truth.fewest)


def margin_for(truth: Truth, n: int, alpha: float, power: float = POWER) -> float:
    """The smallest margin at which n samples (or groups) pass with this probability, to 1 %.

    Raises:
        UsageError: there is none below 1.
    """

    def enough(margin: float) -> bool:
        return truth.power(n, margin, alpha) >= power

    return _smallest(enough, max(-truth.value, 0.0), truth.spread)


def _smallest(enough: Callable[[float], bool], least: float, scale: float) -> float:
    most = least + max(scale, 1e-3)
    while not enough(most):
        least, most = most, 2 * most
        if least >= 1 > scale:
            raise UsageError("no margin below 1 is shown by so few samples")
    while most - least > 0.01 * most:
        middle = (least + most) / 2
        least, most = (least, middle) if enough(middle) else (middle, most)
    return most


def _start(truth: Truth, margin: float, alpha: float, power: float) -> int:
    """By the normal approximation, and what rules out a loss that no sample shows."""
    from scipy.special import ndtri

    z = float(ndtri(1 - alpha) + ndtri(power))
    normal = (z * truth.spread / (truth.value + margin)) ** 2
    unseen = math.log(alpha) / math.log1p(-margin) if margin < 1 else 1
    return rounded_up(max(normal, unseen if isinstance(truth, Flips) else 1, 2))


def rounded_up(n: float) -> int:
    """To three digits."""
    unit = 10 ** max(0, math.floor(math.log10(max(n, 1))) + 1 - _DIGITS)
    return int(math.ceil(n / unit) * unit)
