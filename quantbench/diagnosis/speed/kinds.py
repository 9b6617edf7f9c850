"""Ops summed by their kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quantbench.protocols import OpTime, Profile


@dataclass(frozen=True)
class Sum:
    """How many ops, and the nanoseconds that all of them take."""

    ops: int
    ns: float

    @classmethod
    def of(cls, ops: Iterable[OpTime]) -> Sum:
        """Of any ops."""
        times = [op.ns for op in ops]
        return cls(len(times), sum(times))


@dataclass(frozen=True)
class Kind:
    """All ops of a kind in the float model (`before`) and in the quantized one (`after`)."""

    name: str
    converts: bool
    before: Sum
    after: Sum

    @property
    def lost_ns(self) -> float:
        """What it takes longer in the quantized model; below 0 where it got faster."""
        return self.after.ns - self.before.ns


def kinds_of(before: Profile, after: Profile) -> list[Kind]:
    """All kinds of both models, by what they lost, worst first."""
    names = dict.fromkeys(op.kind for profile in (before, after) for op in profile.ops)
    converts = {op.kind for profile in (before, after) for op in profile.ops if op.converts}
    found = [
        Kind(
            name,
            name in converts,
            Sum.of(op for op in before.ops if op.kind == name),
            Sum.of(op for op in after.ops if op.kind == name),
        )
        for name in names
    ]
    return sorted(found, key=lambda kind: (-kind.lost_ns, kind.name))
