"""What a look into a graph finds, and how it is told."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Finding:
    """One cause.

    Attributes:
        cause: its name, e.g. "infinite constant".
        ops: names of the ops that it is about, in graph order.
        place: of the first of them in the float graph.
        text: one sentence with the numbers, of the worst op.
        numbers: the same, by name.
        remedy: what helps.
        weight: how bad it is, in dB of noise it stands for; causes are ranked by it.
    """

    cause: str
    ops: tuple[str, ...]
    place: int
    text: str
    numbers: Mapping[str, float]
    remedy: str
    weight: float


@dataclass(frozen=True)
class Diagnosis:
    """All looks into one case.

    Attributes:
        findings: worst first.
        profile: of each tensor in graph order `place`, `op`, `kind`, `snr_db`.
        flagged: names of ops that no quantization of theirs leaves harmless.
        seconds: of each look.
    """

    findings: tuple[Finding, ...]
    profile: Sequence[Mapping[str, Any]] = ()
    flagged: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """For a record."""
        return {
            "findings": [
                {**vars(found), "ops": list(found.ops), "numbers": dict(found.numbers)}
                for found in self.findings
            ],
            "profile": [dict(each) for each in self.profile],
            "flagged": list(self.flagged),
            "seconds": {name: round(value, 2) for name, value in self.seconds.items()},
        }


def ranked(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """One a cause, told by its worst op; worst first, of equals the one nearer to the input."""
    by_cause: dict[str, list[Finding]] = {}
    for found in sorted(findings, key=lambda found: (-found.weight, found.place)):
        by_cause.setdefault(found.cause, []).append(found)
    return tuple(_as_one(same) for same in by_cause.values())


def _as_one(same: Sequence[Finding]) -> Finding:
    worst = same[0]
    if len(same) == 1:
        return worst
    in_order = sorted(same, key=lambda found: found.place)
    ops = dict.fromkeys(op for found in in_order for op in found.ops)
    return replace(worst, ops=tuple(ops), place=in_order[0].place)
