"""The three outcomes of a non-inferiority gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quantbench.stats.bootstrap import Estimate
    from quantbench.study import Gate, Outcome


@dataclass(frozen=True)
class Verdict:
    """What a gate says of a case; true only on `pass`.

    Attributes:
        case: name of the judged case.
        gate: what was asked.
        outcome: `pass`, `fail` or `inconclusive`.
        difference: quantized - reference, with the interval that decided.
        quantized: the metric of the judged case.
        reference: the metric of its reference.
    """

    case: str
    gate: Gate
    outcome: Outcome
    difference: Estimate
    quantized: float
    reference: float

    def __bool__(self) -> bool:
        """Whether the case passed."""
        return self.outcome == "pass"

    def __repr__(self) -> str:
        """One line, for pytest's assertion message."""
        d = self.difference
        return (
            f"<{self.outcome}: {self.gate.metric} {self.quantized:.4g} against "
            f"{self.reference:.4g}, difference {d.value:+.4g} [{d.low:+.4g}, {d.high:+.4g}], "
            f"margin {self.gate.margin:g}, n {d.n}>"
        )


def outcome_of(difference: Estimate, gate: Gate) -> Outcome:
    """Non-inferiority on the difference (quantized - reference).

    `pass` when its one-sided lower bound is above -margin, `fail` when its upper bound is below
    -margin, else `inconclusive`; mirrored where lower is better. The bounds are the ends of
    `difference`, which must be a two-sided interval of confidence 2 * gate.confidence - 1.
    """
    low, high = difference.low, difference.high
    if gate.lower_is_better:
        low, high = -high, -low
    if low > -gate.margin:
        return "pass"
    if high < -gate.margin:
        return "fail"
    return "inconclusive"
