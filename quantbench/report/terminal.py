"""Records as text for a terminal: at most 100 columns, worst first."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from quantbench.report.views import SEVERITY, headline_of, judged_of, verdict_word

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


_WORDS = 4  # columns to the left; numbers stand to the right
_STYLES = {
    "pass": "green",
    "fail": "bold red",
    "error": "bold red",
    "inconclusive": "yellow",
}


@dataclass(frozen=True)
class Table:
    """The cases of a model on a data set, worst first.

    Attributes:
        rows: cells of each case, after `header`.
        notes: lines below it.
    """

    title: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    notes: Sequence[str]


def summary(
    records: Sequence[Mapping[str, Any]], skipped: Mapping[str, str] | None = None
) -> Iterator[str]:
    """A table for each model and data set, then what a reader of it must know.

    Args:
        records: of the cases that ran.
        skipped: case to reason, for those that did not.
    """
    for table in tables(records):
        yield table.title
        yield from aligned([table.header, *table.rows], text=_WORDS)
        yield from (f"  {note}" for note in table.notes)
        yield ""
    yield from _remarks(records, skipped or {})


def coloured(
    records: Sequence[Mapping[str, Any]], skipped: Mapping[str, str], console: Any
) -> None:
    """The same on rich's console: verdicts in colour, rules between head and rows."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as RichTable
    from rich.text import Text

    for table in tables(records):
        shown = RichTable(
            box=SIMPLE_HEAD, title=Text(table.title), title_justify="left", title_style="bold",
            pad_edge=False, padding=(0, 1, 0, 0),
        )  # fmt: skip
        for i, name in enumerate(table.header):
            shown.add_column(Text(name), justify="left" if i < _WORDS else "right")
        for row in table.rows:
            cells = [Text(cell, no_wrap=True, overflow="ellipsis") for cell in row]
            cells[1].stylize(_STYLES.get(row[1], "dim"))
            shown.add_row(*cells)
        console.print(shown)
        for note in table.notes:
            console.print(Text(f"  {note}", "dim"))
    for remark in _remarks(records, skipped):
        console.print(Text(remark, "dim"))


def tables(records: Sequence[Mapping[str, Any]]) -> list[Table]:
    """One for each model and data set, that with the worst case first."""

    def study(record: Mapping[str, Any]) -> tuple[str, str]:
        return record["model"], record["dataset"]["name"]

    def severity(record: Mapping[str, Any]) -> tuple[int, str]:
        return SEVERITY.index(verdict_word(record)), record["scheme"]

    grouped = groupby(sorted(records, key=study), key=study)
    found = [(*key, sorted(group, key=severity)) for key, group in grouped]
    return [
        _table(model, dataset, members)
        for model, dataset, members in sorted(found, key=lambda each: severity(each[2][0])[0])
    ]


def _table(model: str, dataset: str, members: Sequence[Mapping[str, Any]]) -> Table:
    # One metric for the whole table: its name stands once, over the column.
    metric = next((name for r in members if (name := headline_of(r))), "metric")
    flips = any(verdict["flips"] for record in members for verdict in record["verdicts"])
    notes = [f"note: {note}" for note in sorted({r["note"] for r in members if r["note"]})]
    for record in members:
        if record["error"]:
            message = next(iter(record["error"]["message"].splitlines()), "(no message)")
            notes.append(f"{record['scheme']}: {record['error']['type']}: {message}")
    return Table(
        title=f"{model} on {dataset}{_sizes(members)}",
        header=("scheme", "verdict", metric, "difference", *["flips"] * flips, "MB", "latency"),
        rows=[_row(record, metric, flips=flips) for record in members],
        notes=[*notes, *_against_baseline(members)],
    )


def _remarks(records: Sequence[Mapping[str, Any]], skipped: Mapping[str, str]) -> Iterator[str]:
    for reason, number in Counter(skipped.values()).items():
        yield f"skipped {number} case{'s' * (number > 1)}: {' '.join(reason.split())}"
    if records and all(record["latency"] is None for record in records):
        yield "no latency was measured; to time, run alone (without -n and with benchmarks enabled)"


def _against_baseline(members: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """How the cases stand to the last accepted run, and how that was compared."""
    for record in members:
        if record.get("baseline"):
            yield f"{record['scheme']} against the baseline: {record['baseline']}"
        for verdict in record["verdicts"]:
            if verdict["against"] == "baseline":
                paired = not verdict["method"].startswith("independent")
                how = "same samples, in pairs" if paired else "by intervals, not in pairs"
                yield (
                    f"{record['scheme']} against the baseline: {verdict['outcome']}, "
                    f"{_difference(verdict)} ({how})"
                )


def _sizes(members: Sequence[Mapping[str, Any]]) -> str:
    """How many samples; of a sequential run cases differ."""
    found = sorted({r["dataset"]["n"] for r in members if r["dataset"]["n"]})
    if not found:
        return ""
    return f", {found[0]} samples" if len(found) == 1 else f", {found[0]} to {found[-1]} samples"


def verdict_block(record: Mapping[str, Any]) -> str:
    """A case's verdicts, one readable block each."""
    return "\n\n".join(_explained(record, verdict) for verdict in record["verdicts"])


def _explained(record: Mapping[str, Any], verdict: Mapping[str, Any]) -> str:
    against, better = verdict["against"], "lower" if verdict["lower_is_better"] else "higher"
    lines = [
        ("case", record["case"]),
        ("verdict", f"{verdict['outcome']} (declared: {verdict['expected']})"),
        ("metric", f"{verdict['metric']}, {better} is better"),
        ("values", f"{_value(record, verdict)}, the {against}'s {_number(verdict['reference'])}"),
        ("difference", f"{_difference(verdict)} to the {against}"),
        ("margin", f"{_margin(verdict)}, each bound at {verdict['confidence']:.0%}"),
    ]
    if verdict["flips"]:
        lost, gained = verdict["flips"]
        lines.append(("flips", f"{lost} right before and wrong now, {gained} the other way"))
    lines += [("samples", _samples(record, verdict)), ("method", verdict["method"])]
    if verdict["outcome"] == "inconclusive":
        lines.append(("to settle", _settled_by(verdict)))
    return "\n".join(f"{name + ':':<12}{text}" for name, text in lines)


def _settled_by(verdict: Mapping[str, Any]) -> str:
    """What would make an open verdict a pass or a failure."""
    if verdict.get("p_value_holm") is not None:
        return "beside the other cases of this run it is not certain enough: more samples"
    n = verdict["samples_to_decide"]
    if n is None:
        return "the difference lies on the margin: another margin, or very many more samples"
    gain = verdict["difference"] * (-1 if verdict["lower_is_better"] else 1)
    outcome = "a pass" if gain > -verdict["margin"] else "a failure"
    return f"about {n:,} samples (80 % power), which would make it {outcome}"


def _samples(record: Mapping[str, Any], verdict: Mapping[str, Any]) -> str:
    used, of = verdict["n"], record["dataset"].get("of")
    return f"{used} of {of}, stopped when certain" if of and used and used < of else str(used)


def _value(record: Mapping[str, Any], verdict: Mapping[str, Any]) -> str:
    metric = record["metrics"].get(verdict["metric"])
    if metric is None:  # a time or bytes
        return _number(verdict["quantized"])
    return f"{_interval(metric)} at {metric['confidence']:.0%}"


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4g}"


def _margin(verdict: Mapping[str, Any]) -> str:
    return f"{verdict['margin']:.3g} of it" if verdict["relative"] else f"{verdict['margin']:g}"


def _difference(verdict: Mapping[str, Any]) -> str:
    """With its interval; an end that nothing bounds is open."""
    if verdict["difference"] is None:
        return "undefined"
    scale, unit = (100, " %") if verdict["relative"] else (1, "")
    places = 1 if verdict["relative"] else 3
    low, high = (
        "open" if verdict[end] is None else f"{scale * verdict[end]:+.{places}f}"
        for end in ("low", "high")
    )
    return f"{scale * verdict['difference']:+.{places}f} [{low}, {high}]{unit}"


def _row(record: Mapping[str, Any], metric: str, *, flips: bool) -> tuple[str, ...]:
    judged = judged_of(record)
    name = headline_of(record)
    value = _interval(record["metrics"][name]) if name else "-"
    size = record["memory"]["weights_bytes"]
    return (
        record["scheme"],
        verdict_word(record),
        value if name in {None, metric} else f"{name} {value}",
        _difference(judged) if judged else "-",
        *(["/".join(map(str, judged["flips"])) if judged and judged["flips"] else "-"] * flips),
        f"{size / 1e6:.1f}" if size else "-",
        _milliseconds(record["latency"]),
    )


def _interval(numbers: Mapping[str, Any]) -> str:
    if numbers["value"] is None:
        return "undefined"
    value, low, high = (numbers[key] for key in ("value", "low", "high"))
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _milliseconds(latency: Mapping[str, Any] | None) -> str:
    if latency is None:
        return "-"
    return f"{latency['median_ns'] / 1e6:.2f} ms"


def aligned(rows: Sequence[Sequence[str]], text: int) -> Iterator[str]:
    """Columns as wide as their widest cell: `text` of words to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            cell.ljust(width) if i < text else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  " + "  ".join(cells).rstrip()
