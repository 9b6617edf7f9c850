"""Rows of a comparison as text, for people and for programs."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import TYPE_CHECKING, Any

from quantbench.report.terminal import aligned

if TYPE_CHECKING:
    from collections.abc import Callable

Rows = list[dict[str, Any]]
_HEADER = ("case", "verdict", "metric", "before", "after", "difference", "flips", "size", "time")


def as_table(rows: Rows) -> str:
    """Aligned columns, worst first, then how the differences were found."""
    lines = [*aligned(_all_cells(rows), text=3)]
    return "\n".join([*lines, *_notes(rows)]) + "\n"


def as_markdown(rows: Rows) -> str:
    """A table of GitHub's Markdown; what could end a cell is escaped."""
    header, *cells = _all_cells(rows)
    lines = [header, tuple("---" for _ in header), *cells]
    text = "\n".join(f"| {' | '.join(map(escaped, line))} |" for line in lines)
    return "\n".join([text, "", *_notes(rows)]) + "\n"


def as_csv(rows: Rows) -> str:
    """All columns, numbers in full."""
    file = io.StringIO()
    writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: inert(value) for name, value in row.items()} for row in rows)
    return file.getvalue()


def as_json(rows: Rows) -> str:
    """The rows; a bound that is infinite or undefined is null."""
    plain = [{name: _plain(value) for name, value in row.items()} for row in rows]
    return json.dumps(plain, indent=1, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


FORMATS: dict[str, Callable[[Rows], str]] = {
    "table": as_table,
    "markdown": as_markdown,
    "csv": as_csv,
    "json": as_json,
}


def _all_cells(rows: Rows) -> list[tuple[str, ...]]:
    """The header and all rows; with energy where any is known."""
    energy = any(row["energy_ratio"] is not None for row in rows)
    lines = [(*_HEADER, *["energy"] * energy)]
    return [*lines, *((*_cells(row), *[_ratio(row["energy_ratio"])] * energy) for row in rows)]


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    difference = "-"
    if row["difference"] is not None:
        difference = f"{row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
    return (
        row["case"],
        row["verdict"],
        row["metric"] or "-",
        _number(row["before"]),
        _number(row["after"]),
        difference,
        "/".join(map(str, row["flips"])) if row["flips"] else "-",
        _ratio(row["size_ratio"]),
        _ratio(row["time_ratio"]),
    )


def _notes(rows: Rows) -> list[str]:
    unpaired = sum(row["paired"] is False for row in rows)
    if not unpaired:
        return []
    return [f"{unpaired} of {len(rows)} by intervals alone: their evidence is not in the store"]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"x{value:.2f}"


def escaped(cell: str) -> str:
    """A text that cannot end its cell, nor become a tag, a link or a picture."""
    text = " ".join(cell.split()).replace("\\", "\\\\").replace("&", "&amp;")
    for found, written in (("|", "\\|"), ("<", "&lt;"), ("`", "\\`"), ("](", "]\\(")):
        text = text.replace(found, written)
    return text


def inert(value: Any) -> Any:
    """A cell of CSV: one line, and no text that a spreadsheet would take for a formula."""
    if not isinstance(value, str):
        return value
    text = " ".join(value.split())
    return f"'{text}" if text[:1] in set("=+-@") else text
