"""Why a case is slower, or no faster, as reports show it: two times, causes, time by kind of op."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quantbench.report.values import number, text, whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_KINDS = 10  # of ops that are shown; the others are summed up
_BETWEEN = "in no op"


@dataclass(frozen=True)
class Row:
    """Ops of one kind: how many, and their milliseconds, in float and quantized."""

    kind: str
    before_ops: int
    before_ms: float
    after_ops: int
    after_ms: float

    @property
    def lost_ms(self) -> float:
        """What it takes longer in the quantized model."""
        return self.after_ms - self.before_ms

    @property
    def cells(self) -> tuple[str, ...]:
        """As a row of a table."""
        return (
            self.kind,
            str(self.before_ops or ""),
            f"{self.before_ms:.2f}",
            str(self.after_ops or ""),
            f"{self.after_ms:.2f}",
            f"{self.lost_ms:+.2f}",
        )


HEADER = ("kind of op", "float", "ms", "quantized", "ms", "difference")


@dataclass(frozen=True)
class Inference:
    """One inference of a case and of the float model beside it.

    Attributes:
        what: was run.
        beside: the float case.
        before_ms: of the float model.
        after_ms: of the quantized one.
        causes: sentences with their numbers, the largest loss first.
        rows: kinds of ops by what they lost, worst first; last what is in no op.
        method: how ops were timed.
    """

    what: str
    beside: str
    before_ms: float
    after_ms: float
    causes: tuple[str, ...]
    rows: tuple[Row, ...]
    method: str

    @property
    def headline(self) -> str:
        """One sentence: how much slower or faster, than what."""
        now, then = self.after_ms, self.before_ms
        word = "slower than" if now > then else "faster than"
        times = f"{max(now, then) / min(now, then):.2f} times {word} {self.beside}"
        return f"{self.what}: {now:.2f} ms, {times} ({then:.2f} ms)"


@dataclass(frozen=True)
class Speed:
    """All inferences that a case was timed in op by op."""

    inferences: tuple[Inference, ...]

    @property
    def slowest(self) -> Inference | None:
        """The one that lost most against float."""
        return max(self.inferences, key=lambda each: each.after_ms / each.before_ms, default=None)


def speed_of(data: Mapping[str, Any]) -> Speed:
    """A record's speed diagnosis; raises what `checking.views_of` explains."""
    beside = text(data["beside"])
    return Speed(tuple(_inference(each, beside) for each in data["inferences"]))


def speed_block(speed: Speed) -> Iterator[str]:
    """As text for a terminal."""
    from quantbench.report.terminal import aligned

    for inference in speed.inferences:
        yield inference.headline
        yield from (f"  {i}. {cause}" for i, cause in enumerate(inference.causes, 1))
        table = [HEADER, *(row.cells for row in inference.rows)]
        yield from (f"  {line}" for line in aligned(table, text=1))
        yield f"  {inference.method}"


def _inference(data: Mapping[str, Any], beside: str) -> Inference:
    before, after = (_side(data[side]) for side in ("float", "quantized"))
    if not (before[0] > 0 and after[0] > 0):
        raise ValueError("an inference that takes no time")
    threads = whole(data["threads"])
    return Inference(
        what=text(data["what"]),
        beside=beside,
        before_ms=before[0],
        after_ms=after[0],
        causes=tuple(text(each["text"]) for each in data["findings"]),
        rows=(*_rows(data["kinds"]), Row(_BETWEEN, 0, before[1], 0, after[1])),
        method=f"{text(data['method'])}; {threads} threads",
    )


def _side(data: Mapping[str, Any]) -> tuple[float, float]:
    """Milliseconds of the whole, and of it what is in no op."""
    ms = number(data["ms"]) or 0.0
    return ms, ms * (1 - (number(data["covered"]) or 0.0))


def _rows(kinds: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Those that take most in either model, by what they lost; the others as one."""
    rows = [
        Row(
            text(kind["kind"]),
            whole(kind["float"]["ops"]) or 0,
            number(kind["float"]["ms"]) or 0.0,
            whole(kind["quantized"]["ops"]) or 0,
            number(kind["quantized"]["ms"]) or 0.0,
        )
        for kind in kinds
    ]
    rows = sorted(rows, key=lambda row: -max(row.before_ms, row.after_ms))
    shown, others = rows[:_KINDS], rows[_KINDS:]
    shown = sorted(shown, key=lambda row: -row.lost_ms)
    if not others:
        return shown
    summed = (
        sum(row.before_ops for row in others),
        sum(row.before_ms for row in others),
        sum(row.after_ops for row in others),
        sum(row.after_ms for row in others),
    )
    if not all(math.isfinite(ms) for ms in summed):
        raise ValueError("times whose sum is no number")
    return [*shown, Row(f"{len(others)} other kinds", *summed)]
