"""Where the time of a run went, by case and step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quantbench.report.terminal import aligned

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_STEPS = {"build": "artifact", "predict": "evidence", "summarise": None}  # and what the store has
_DONE = {"built", "computed"}


def as_timings(documents: Sequence[Mapping[str, Any]]) -> str:
    """A table in seconds, the longest case first; "stored" is what the run did not do again.

    The column `timing` is that of the rounds of pytest-benchmark. Importing frameworks, fetching
    and preparing samples are in none of the columns.
    """
    found = [_of(record) for document in documents for record in document["records"]]
    found.sort(key=lambda each: -each[-1])
    rows = [("case", *_STEPS, "timing", "sum")]
    rows += [(case, *map(_cell, spent)) for case, *spent in found]
    columns = list(zip(*(spent for _, *spent in found), strict=True))
    rows.append(("all", *(_cell(sum(filter(None, column))) for column in columns)))
    return "\n".join(aligned(rows, text=1)) + "\n"


def _of(record: Mapping[str, Any]) -> tuple[Any, ...]:
    """The case, seconds of each step (None where the store had it), of timing, and their sum."""
    cache, known = (_mapping(record.get(name)) for name in ("cache", "timings_s"))
    steps = [
        _number(known.get(step)) if entry is None or cache.get(entry) in _DONE else None
        for step, entry in _STEPS.items()
    ]
    latency = _mapping(record.get("latency"))
    timing = 1e-9 * _number(latency.get("median_ns")) * _number(latency.get("rounds"))
    return str(record["case"]), *steps, timing, sum(filter(None, steps)) + timing


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _cell(seconds: float | None) -> str:
    return "stored" if seconds is None else f"{seconds:.1f}"
