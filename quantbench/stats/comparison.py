"""What every estimator of a difference can say, whatever it is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self

_LEAST_P = 1e-6


@dataclass(frozen=True)
class Estimate:
    """A value with its interval.

    Attributes:
        value: on the samples as they are.
        low: lower end of the interval; NaN, as all of these, where the metric is undefined, and
            minus infinity where too little was seen for any bound.
        high: upper end.
        confidence: of the two-sided interval.
        n: samples.
        method: the estimator, by name.
        groups: that the samples come in, where they do.
    """

    value: float
    low: float
    high: float
    confidence: float
    n: int
    method: str
    groups: int | None = None


class Comparison:
    """Quantized - reference, as one estimator sees it.

    Attributes:
        value: the difference on the samples as they are.
        spread: of one sample's difference (standard deviation): that of `value` is this over
            the square root of n. Of one group's, where samples come in groups.
        n: samples.
        groups: that they come in, where they do.
        reach: the most that a failure of all samples could cost, in the metric's unit.
        method: the estimator and its source.
    """

    value: float
    spread: float
    n: int
    method: str
    groups: int | None = None
    reach: float = 1.0

    def bounds(self, alpha: float) -> tuple[float, float]:
        """A lower and an upper bound, each of which misses with probability `alpha` alone."""
        raise NotImplementedError

    def mirrored(self) -> Self:
        """The same of reference - quantized."""
        raise NotImplementedError

    def interval(self, confidence: float) -> Estimate:
        """The two-sided interval; each of its ends is a bound at (1 + confidence) / 2."""
        low, high = self.bounds((1 - confidence) / 2)
        return Estimate(self.value, low, high, confidence, self.n, self.method, self.groups)

    def p_at_most(self, bound: float) -> float:
        """p-value against "the true difference is at most `bound`", in [1e-6, 1].

        The least alpha at which the lower bound is above `bound`.
        """
        least, most = _LEAST_P, 1 - _LEAST_P
        if not self.bounds(most)[0] > bound:
            return 1.0
        while most / least > 1.01:  # noqa: PLR2004 - one per cent of a p-value
            alpha = (least * most) ** 0.5
            if self.bounds(alpha)[0] > bound:
                most = alpha
            else:
                least = alpha
        return most


@dataclass(frozen=True)
class Known(Comparison):
    """A difference without chance: bytes, or a model compared with itself."""

    value: float
    n: int = 1
    spread: float = 0.0
    method: str = "exact: nothing was sampled"

    def bounds(self, alpha: float) -> tuple[float, float]:
        """The value."""
        del alpha
        return self.value, self.value

    def mirrored(self) -> Known:
        """The negative."""
        return Known(-self.value, self.n)


@dataclass(frozen=True)
class Independent(Comparison):
    """Difference of two estimates of which only the intervals are left.

    Normal, the errors read off the intervals' widths and taken as independent. Two runs on the
    same samples move together, so this is wider than a paired comparison would be.

    Attributes:
        quantized: the one.
        reference: the other.
        relative: the difference is a share of the reference's value.
        sign: -1 for the mirrored comparison.
    """

    quantized: Estimate
    reference: Estimate
    relative: bool = False
    sign: int = 1
    method: str = "independent intervals, normal"

    @property
    def n(self) -> int:  # type: ignore[override]
        """Samples of the smaller run."""
        return min(self.quantized.n, self.reference.n)

    @property
    def _scale(self) -> float:
        return self.sign / (self.reference.value if self.relative else 1.0)

    @property
    def value(self) -> float:  # type: ignore[override]
        """Difference of the values."""
        return self._scale * (self.quantized.value - self.reference.value)

    @property
    def spread(self) -> float:  # type: ignore[override]
        """Of one sample, as the intervals have it."""
        from scipy.special import ndtri

        errors = [
            (e.high - e.low) / 2 / float(ndtri((1 + e.confidence) / 2))
            for e in (self.quantized, self.reference)
        ]
        return float(abs(self._scale) * (errors[0] ** 2 + errors[1] ** 2) ** 0.5 * self.n**0.5)

    def bounds(self, alpha: float) -> tuple[float, float]:
        """Normal."""
        from scipy.special import ndtri

        half = float(ndtri(1 - alpha)) * self.spread / self.n**0.5
        return self.value - half, self.value + half

    def mirrored(self) -> Independent:
        """The negative."""
        return Independent(self.quantized, self.reference, self.relative, -self.sign)
