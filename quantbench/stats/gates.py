"""The three outcomes of a non-inferiority gate, and what would settle an open one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from quantbench.stats.comparison import Comparison, Estimate
    from quantbench.study import Gate, Outcome

Against = Literal["reference", "baseline"]
POWER = 0.8


@dataclass(frozen=True)
class Verdict:
    """What a gate says of a case; true on `pass`, and where its test may go on all the same.

    Attributes:
        case: name of the judged case.
        gate: what was asked.
        outcome: `pass`, `fail` or `inconclusive`.
        difference: quantized - reference, in the metric's unit or, of a relative gate, as a share
            of the reference's value; with the interval that decided.
        quantized: the metric of the judged case.
        reference: the metric of what it was judged against.
        p_value: against "worse by the margin or more".
        flips: samples that only the reference has right, and that only the judged case has, of a
            metric that counts right answers; else None.
        samples_to_decide: how many samples would decide with 80 % power if the difference and its
            spread are what they seem; None where it is decided, or nothing can be said.
        against: the float reference, or the last accepted baseline.
        exact: nothing in it is left to chance.
        accepted: it is no pass, and its test goes on: an undecided verdict under
            `--quant-inconclusive pass`, or a failure that the study declares. The outcome stays.
    """

    case: str
    gate: Gate
    outcome: Outcome
    difference: Estimate
    quantized: float
    reference: float
    p_value: float = 1.0
    flips: tuple[int, int] | None = None
    samples_to_decide: int | None = None
    against: Against = "reference"
    exact: bool = False
    accepted: bool = False

    def __bool__(self) -> bool:
        """Whether the case passed, or its test goes on all the same (`accepted`)."""
        return self.outcome == "pass" or self.accepted

    def __repr__(self) -> str:
        """One line, for pytest's assertion message."""
        d, sign = self.difference, "%" if self.gate.relative else ""
        scale = 100 if self.gate.relative else 1
        bounds = f"[{scale * d.low:+.4g}, {scale * d.high:+.4g}]{sign}"
        return (
            f"<{self.outcome}: {self.gate.metric} {self.quantized:.4g} against "
            f"{self.reference:.4g} of the {self.against}, difference {scale * d.value:+.4g}{sign} "
            f"{bounds}, margin {scale * self.gate.margin:g}{sign}, n {d.n}>"
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


def samples_to_decide(comparison: Comparison, gate: Gate) -> int | None:
    """Samples (or groups, where samples come in groups) at which the gate decides.

    With 80 % power, either way, if it is asked once, of samples that are all new: to look again at
    the same ones and more raises the error.

    The normal approximation ((z_confidence + z_power) spread / distance to the margin)^2, and at
    least what rules out a change of the margin's size that no sample has shown (the rule of
    three). None where the difference lies on the margin.
    """
    from scipy.special import ndtri

    if not all(map(math.isfinite, comparison.bounds(1 - gate.confidence))):
        return None
    gain = -comparison.value if gate.lower_is_better else comparison.value
    distance = abs(gain + gate.margin)
    if distance == 0 or not math.isfinite(comparison.spread):
        return None
    z = float(ndtri(gate.confidence) + ndtri(POWER))
    needed = (z * comparison.spread / distance) ** 2
    reach = (comparison.mirrored() if gate.lower_is_better else comparison).reach
    if gate.margin < reach:
        share = gate.margin / reach
        needed = max(needed, math.log(1 - gate.confidence) / math.log1p(-share))
    return math.ceil(needed) if needed < 1e9 else None  # noqa: PLR2004 - nobody has more
