"""Two profiles of the same inference side by side, as JSON for the record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quantbench.diagnosis.speed.findings import findings_of
from quantbench.diagnosis.speed.kinds import kinds_of
from quantbench.diagnosis.speed.roofline import limits_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quantbench.diagnosis.speed.kinds import Kind
    from quantbench.diagnosis.speed.roofline import Peaks
    from quantbench.protocols import Profile


@dataclass(frozen=True)
class Compared:
    """One inference of the float model and of the quantized one.

    Attributes:
        before: of the float model.
        after: of the quantized one.
        peaks: of the machine; None where no work is known to hold against them.
    """

    before: Profile
    after: Profile
    peaks: Peaks | None = None

    def as_json(self) -> dict[str, Any]:
        """Times in milliseconds; kinds by what they lost, worst first."""
        limits = [limits_of(each, self.peaks) for each in (self.before, self.after)]
        return {
            "what": self.after.what,
            "method": self.after.method,
            "threads": self.after.threads,
            "float": _side(self.before) | {"limits": limits[0] and limits[0].as_json()},
            "quantized": _side(self.after) | {"limits": limits[1] and limits[1].as_json()},
            "kinds": [_kind(each) for each in kinds_of(self.before, self.after)],
            "findings": [
                {"cause": each.cause, "ms": _ms(each.ns), "text": each.text}
                for each in findings_of(self.before, self.after, limits[1])
            ],
        }


def pairs_of(
    before: Sequence[Profile], after: Sequence[Profile], peaks: Peaks | None
) -> list[Compared]:
    """The profiles of two models that ran the same, in the order of the quantized one's."""
    same = {profile.what: profile for profile in before}
    return [Compared(same[each.what], each, peaks) for each in after if each.what in same]


def _side(profile: Profile) -> dict[str, Any]:
    return {
        "ms": _ms(profile.whole_ns),
        "covered": round(profile.covered, 3),
        "delegate": profile.delegate or None,
        "partitions": profile.partitions,
        "ops": [
            {
                "place": op.place,
                "kind": op.kind,
                "name": op.name,
                "ms": _ms(op.ns),
                "kernel": op.kernel,
            }
            for op in profile.ops
        ],
    }


def _kind(kind: Kind) -> dict[str, Any]:
    return {
        "kind": kind.name,
        "converts": kind.converts,
        "float": {"ops": kind.before.ops, "ms": _ms(kind.before.ns)},
        "quantized": {"ops": kind.after.ops, "ms": _ms(kind.after.ns)},
    }


def _ms(ns: float) -> float:
    return round(ns / 1e6, 4)
