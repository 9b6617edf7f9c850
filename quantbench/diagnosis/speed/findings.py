"""What two profiles say in words: where the quantized model loses time, and where it gains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quantbench.diagnosis.speed.kinds import Sum, kinds_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quantbench.diagnosis.speed.kinds import Kind
    from quantbench.diagnosis.speed.roofline import Limits
    from quantbench.protocols import Profile

_SHARE = 0.04  # of the quantized model's time: what is less is not told
_ADDS_UP = (0.85, 1.1)  # share of the whole that ops must cover for their times to be believed


@dataclass(frozen=True)
class SpeedFinding:
    """One cause.

    Attributes:
        cause: its name, e.g. "outside the delegate".
        ns: that the quantized model loses by it, of one inference; below 0 what it gains.
        text: one sentence with the numbers.
    """

    cause: str
    ns: float
    text: str


def findings_of(before: Profile, after: Profile, limits: Limits | None) -> list[SpeedFinding]:
    """Causes of a difference in time, the largest loss first, then gains.

    What is less than 4 % of the quantized model's time is left out.

    Args:
        before: of the float model.
        after: of the quantized one, the same inference.
        limits: of the quantized one, where its work is known.
    """
    kinds = kinds_of(before, after)
    found = [*_outside(before, after), *_conversions(kinds, after), *_between(before, after)]
    told = {op.kind for op in after.ops if _fell_back(after, op.kernel)}
    found += [
        _changed(each, after) for each in kinds if not each.converts and each.name not in told
    ]
    heard = [each for each in found if abs(each.ns) >= _SHARE * after.whole_ns]
    heard = sorted(heard, key=lambda each: -each.ns)
    return [*heard, *_limit(limits), *_doubt(before, after)]


def _fell_back(profile: Profile, kernel: str) -> bool:
    return bool(profile.delegate) and kernel != profile.delegate


def _outside(before: Profile, after: Profile) -> Iterator[SpeedFinding]:
    """Kinds of ops that the delegate left to the runtime's own kernels."""
    left = [op for op in after.ops if _fell_back(after, op.kernel)]
    for kind in dict.fromkeys(op.kind for op in left):
        mine = Sum.of(op for op in left if op.kind == kind)
        float_ops = Sum.of(op for op in before.ops if op.kind == kind)
        beside = f", {_ms(float_ops.ns)} ms in float" if float_ops.ops else ", none in float"
        yield SpeedFinding(
            "outside the delegate",
            mine.ns - float_ops.ns,
            f"{mine.ops} {kind} run outside {after.delegate}: {_of(mine.ns, after)}{beside}"
            f"{_remark(after, kind)}",
        )


def _conversions(kinds: list[Kind], after: Profile) -> Iterator[SpeedFinding]:
    """Ops that compute nothing."""
    mine = [each for each in kinds if each.converts and each.after.ns > 0]
    if not mine:
        return
    now, then = sum(each.after.ns for each in mine), sum(each.before.ns for each in mine)
    named = ", ".join(f"{each.after.ops} {each.name}" for each in mine[:3])
    yield SpeedFinding(
        "conversions",
        now - then,
        f"conversions take {_of(now, after)} and compute nothing ({named}), {_ms(then)} in float",
    )


def _changed(kind: Kind, after: Profile) -> SpeedFinding:
    """A kind of ops that both models have, by kernels of the same owner, or that one has."""
    mine, then = kind.after, kind.before
    name = kind.name
    if not then.ops:
        text = f"{mine.ops} {name} are in the quantized model alone: {_of(mine.ns, after)}"
    elif not mine.ops:
        text = f"{then.ops} {name} of the float model are gone: {_ms(then.ns)} ms"
    else:
        times = max(mine.ns, then.ns) / max(min(mine.ns, then.ns), 1.0)
        word = "slower" if mine.ns > then.ns else "faster"
        counted = (
            f"{mine.ops} {name}" if mine.ops == then.ops else f"{mine.ops} for {then.ops} {name}"
        )
        text = f"{counted}: {_ms(mine.ns)} ms, in float {_ms(then.ns)} ({times:.1f} times {word})"
    cause = "slower kernels" if kind.lost_ns > 0 else "faster kernels"
    return SpeedFinding(cause, kind.lost_ns, text + _remark(after, name))


def _between(before: Profile, after: Profile) -> Iterator[SpeedFinding]:
    """What is in the whole and in no op."""
    now, then = (max(p.whole_ns * (1 - p.covered), 0.0) for p in (before, after)[::-1])
    if now <= then:
        return
    pieces = ""
    if after.partitions is not None and before.partitions is not None:
        pieces = (
            f"; {after.delegate or before.delegate} takes the model in {after.partitions} pieces, "
            f"the float one in {before.partitions}"
        )
    yield SpeedFinding(
        "between ops",
        now - then,
        f"{_of(now, after)} are in no op (copies, starting kernels), {_ms(then)} in float{pieces}",
    )


def _limit(limits: Limits | None) -> Iterator[SpeedFinding]:
    if limits is not None:
        yield SpeedFinding("limit", 0.0, limits.text)


def _doubt(before: Profile, after: Profile) -> Iterator[SpeedFinding]:
    """Where the parts do not add up, their times are no more than a hint."""
    least, most = _ADDS_UP
    for word, profile in (("float", before), ("quantized", after)):
        if profile.covered > most or (profile.covered < least and not profile.partitions):
            yield SpeedFinding(
                "parts",
                0.0,
                f"the ops of the {word} model add up to {profile.covered:.2f} of its time: read "
                "their times as shares",
            )


def _remark(profile: Profile, kind: str) -> str:
    said = (profile.remarks or {}).get(kind)
    return f"; {said}" if said else ""


def _of(ns: float, profile: Profile) -> str:
    return f"{_ms(ns)} of {_ms(profile.whole_ns)} ms"


def _ms(ns: float) -> str:
    """Milliseconds with two digits after the point below 10."""
    return f"{ns / 1e6:.2f}" if ns < 1e7 else f"{ns / 1e6:.1f}"  # noqa: PLR2004 - 10 ms
