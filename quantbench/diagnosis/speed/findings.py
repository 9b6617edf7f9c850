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
    found = [*_refused(before, after), *_conversions(kinds, after), *_between(before, after)]
    for kind in kinds:
        if not kind.converts:
            out = [op for op in after.ops if op.kind == kind.name and _fell_back(after, op.kernel)]
            found.append(_outside(kind, Sum.of(out), after) if out else _changed(kind, after))
    heard = [each for each in found if abs(each.ns) >= _SHARE * after.whole_ns]
    heard = sorted(heard, key=lambda each: -each.ns)
    return [*heard, *_limit(limits), *_doubt(before, after)]


def _fell_back(profile: Profile, kernel: str) -> bool:
    return bool(profile.delegate) and kernel != profile.delegate


def _refused(before: Profile, after: Profile) -> Iterator[SpeedFinding]:
    """A delegate that takes the float model and nothing of the quantized one."""
    if before.delegate and not after.delegate:
        yield SpeedFinding(
            "outside the delegate",
            after.whole_ns - before.whole_ns,
            f"{before.delegate} takes nothing of the quantized model: all its ops run on the "
            "runtime's plain kernels",
        )


def _outside(kind: Kind, out: Sum, after: Profile) -> SpeedFinding:
    """A kind of ops of which the delegate left some to the runtime's own kernels."""
    counted = f"{out.ops} of {kind.after.ops}" if out.ops < kind.after.ops else f"{out.ops}"
    text = f"{counted} {kind.name} run outside {after.delegate}: {_of(out.ns, after)}"
    if out.ops < kind.after.ops:
        text += f"; all {kind.after.ops} take {_ms(kind.after.ns)}"
    text += f", {_ms(kind.before.ns)} ms in float" if kind.before.ops else ", none in float"
    return SpeedFinding("outside the delegate", kind.lost_ns, text + _remark(after, kind.name))


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
        if not least <= profile.covered <= most:
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
