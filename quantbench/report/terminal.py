"""Records as text for a terminal: some 100 columns, energy apart, worst first."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from quantbench.core.words import plural
from quantbench.report.checking import judgement_of, metric_of, views_of
from quantbench.report.energies import Columns
from quantbench.report.energies import notes as notes_of_energy
from quantbench.report.numbers import (
    difference,
    estimate,
    margin,
    megabytes,
    milliseconds,
    quality,
    rate,
)
from quantbench.report.numbers import flips as flips_of
from quantbench.report.runtimes import (
    FASTEST,
    FASTEST_NOTE,
    OWN_DIFFERENCE,
    fastest,
    fastest_header,
    groups,
)
from quantbench.report.views import studies_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from quantbench.report.views import Study, View


_OPS, _NAME = 4, 44  # ops that are named, and characters of a name
_WORDS = 4  # columns to the left; numbers stand to the right
MOVED = "it is worse than the float model that was accepted, and all others are judged against it"
_UNTIMED = "no latency was measured; "
_NO_TIMING_TEST = "it needs a test that calls benchmark(quantized.predict, sample), and none ran"
_NOT_ALONE = "to time, run alone (without -n and with benchmarks enabled)"
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
        headings: of several runtimes, by the place of the first row under each.
        notes: lines below it.
    """

    title: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    notes: Sequence[str]
    headings: Mapping[int, str] = field(default_factory=dict)

    @property
    def lines(self) -> tuple[str, list[tuple[str, str]]]:
        """The header, and each row as it is shown with the heading above it, or ""."""
        inset = "  " * bool(self.headings)
        rows = [(f"{inset}{first}", *rest) for first, *rest in self.rows]
        head, *lines = aligned([self.header, *rows], text=_WORDS)
        return head, [(line, self.headings.get(i, "")) for i, line in enumerate(lines)]


def summary(
    records: Sequence[Mapping[str, Any]],
    skipped: Mapping[str, str] | None = None,
    *,
    alone: bool = False,
) -> Iterator[str]:
    """A table for each model and data set, then what a reader of it must know.

    Args:
        records: of the cases that ran.
        skipped: case to reason, for those that did not.
        alone: the run could time.
    """
    for table in tables(records):
        yield table.title
        head, lines = table.lines
        yield head
        for line, heading in lines:
            yield from [f"  {heading}"] * bool(heading)
            yield line
        yield from (f"  {note}" for note in table.notes)
        yield ""
    yield from _remarks(records, skipped or {}, alone=alone)


def coloured(
    records: Sequence[Mapping[str, Any]],
    skipped: Mapping[str, str],
    console: Any,
    *,
    alone: bool = False,
) -> None:
    """The same lines on rich's console, verdicts in colour; what is too long runs on."""
    from rich.text import Text

    def write(line: str, style: str = "") -> Any:
        text = Text(line, style)
        console.print(text, soft_wrap=True)

    for table in tables(records):
        write(table.title, "bold")
        head, lines = table.lines
        write(head, "dim")
        for (line, heading), row in zip(lines, table.rows, strict=True):
            if heading:
                write(f"  {heading}", "bold")
            text = Text(line)
            start = line.index(row[1], line.index(row[0]) + len(row[0]))
            style = _STYLES.get(row[1].partition(" (")[0], "dim")
            text.stylize(style, start, start + len(row[1]))
            console.print(text, soft_wrap=True)
        for note in table.notes:
            write(f"  {note}", "dim")
        write("")
    for remark in _remarks(records, skipped, alone=alone):
        write(remark, "dim")


def tables(records: Sequence[Mapping[str, Any]]) -> list[Table]:
    """One for each model, data set and device, that with the worst case first."""
    return [_table(study) for study in studies_of(views_of({"records": records}, "this run"))]


def _table(study: Study) -> Table:
    grouped = groups(study)
    members = [view for _, group in grouped for view in group]
    # One metric for the whole table: its name stands once, over the column.
    metric = study.metric or "metric"
    flips = any(judged.flips for view in members for judged in view.judgements)
    decoding, energy = study.has_decoding, Columns.of(members)
    notes = [f"note: {note}" for note in sorted({view.note for view in members if view.note})]
    for view in members:
        if view.error:
            message = next(iter(view.error[1].splitlines()), "(no message)")
            notes.append(f"{view.scheme}: {view.error[0]}: {message}")
        if "delegated_ops" in view.facts and view.timed_by.endswith("delegate none"):
            ops = view.facts.get("ops")
            notes.append(
                f"{view.scheme}: timed on plain kernels: no delegate took any of {ops} ops"
            )
        notes += [
            f"{view.scheme}: {by.metric} {by.word}, {difference(by)}, margin {margin(by)}"
            for by in view.others
            if by.against == "reference"
        ]
    return Table(
        title=f"{study.title}{_sizes(members)}",
        header=(
            *("scheme", "verdict", metric, "difference", *["flips"] * flips, "MB", "latency"),
            *["tokens/s"] * decoding,
            *energy.header,
        ),
        rows=[_row(view, metric, energy, flips=flips, decoding=decoding) for view in members],
        notes=[
            *notes,
            *_against_baseline(members),
            *_of_runtimes(members),
            *notes_of_energy(members),
            *_fastest(study),
        ],
        headings=_headings(grouped),
    )


def _headings(grouped: Sequence[tuple[str, Sequence[View]]]) -> dict[int, str]:
    """The runtimes' names over their first rows; none of a single one."""
    starts = accumulate((len(group) for _, group in grouped), initial=0)
    return {start: name for start, (name, _) in zip(starts, grouped, strict=False) if name}


def _of_runtimes(members: Sequence[View]) -> Iterator[str]:
    """Which differences are no quantization's."""
    for view in members:
        if view.runtime_float:
            yield f"{view.scheme}: float of {view.runtime}; {OWN_DIFFERENCE}"


def _fastest(study: Study) -> Iterator[str]:
    """A small table of the fastest case of each runtime."""
    if rows := [each.cells for each in fastest(study)]:
        yield f"{FASTEST}; {FASTEST_NOTE}"
        yield from aligned([fastest_header(study), *rows], text=3)


def _remarks(
    records: Sequence[Mapping[str, Any]], skipped: Mapping[str, str], *, alone: bool
) -> Iterator[str]:
    for reason, number in Counter(skipped.values()).items():
        yield f"skipped {plural(number, 'case')}: {' '.join(reason.split())}"
    if records and all(record["latency"] is None for record in records):
        yield _UNTIMED + (_NO_TIMING_TEST if alone else _NOT_ALONE)


def _against_baseline(members: Sequence[View]) -> Iterator[str]:
    """How the cases stand to the last accepted run, and how that was compared."""
    for view in members:
        if view.baseline:
            yield f"{view.scheme} against the baseline: {view.baseline}"
        for judged in view.judgements:
            if judged.against == "baseline":
                paired = not judged.method.startswith("independent")
                how = "same samples, in pairs" if paired else "by intervals, not in pairs"
                yield (
                    f"{view.scheme} against the baseline: {judged.metric} {judged.outcome}, "
                    f"{difference(judged)} ({how})"
                )
        if view.moved:
            yield f"{view.scheme} is the float model itself: {MOVED}"


def _sizes(members: Sequence[View]) -> str:
    """How many samples; of a sequential run cases differ."""
    found = sorted({view.n for view in members if view.n})
    if not found:
        return ""
    groups = sorted({view.groups for view in members if view.groups})
    several = f" in {_range(groups)} groups" if groups else ""
    left_out = max(view.duplicates for view in members)
    once = f" ({left_out} of equal content left out)" if left_out else ""
    return f", {_range(found)} samples{several}{once}"


def _range(numbers: Sequence[int]) -> str:
    return f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"


def verdict_block(record: Mapping[str, Any]) -> str:
    """A case's verdicts, one readable block each."""
    return "\n\n".join(_why(record, verdict) for verdict in record["verdicts"])


def _why(record: Mapping[str, Any], verdict: Mapping[str, Any]) -> str:
    judged = judgement_of(verdict)
    against, better = verdict["against"], "lower" if verdict["lower_is_better"] else "higher"
    floats = record["case"] == record.get("reference")
    lines = [
        ("case", f"{record['case']}, the float model itself" if floats else record["case"]),
        ("verdict", f"{verdict['outcome']} (declared: {verdict['expected']})"),
        ("metric", f"{verdict['metric']}, {better} is better"),
        ("values", f"{_value(record, verdict)}, the {against}'s {_number(verdict['reference'])}"),
        ("difference", f"{difference(judged)} to the {against}"),
        ("margin", f"{margin(judged)}, each bound at {verdict['confidence']:.0%}"),
    ]
    if verdict["flips"]:
        lost, gained = verdict["flips"]
        lines.append(("flips", f"{lost} right before and wrong now, {gained} the other way"))
    lines += [("samples", _samples(record, verdict)), ("method", verdict["method"])]
    if verdict["outcome"] == "inconclusive":
        lines.append(("to settle", _settled_by(verdict)))
    if verdict["outcome"] == "fail" and floats and against == "baseline":
        lines.append(("note", MOVED))
    return "\n".join(f"{name + ':':<12}{text}" for name, text in lines)


def _settled_by(verdict: Mapping[str, Any]) -> str:
    """What would make an open verdict a pass or a failure."""
    if verdict.get("p_value_holm") is not None:
        return (
            "corrected for the other gates of this run (Holm) it is not certain enough: "
            "evaluate more samples"
        )
    n = verdict["samples_to_decide"]
    if n is None:
        return "the difference lies on the margin: another margin, or very many more samples"
    gain = verdict["difference"] * (-1 if verdict["lower_is_better"] else 1)
    outcome = "a pass" if gain > -verdict["margin"] else "a failure"
    what = "groups" if verdict.get("groups") else "samples"
    return (
        f"about {n:,} {what} (80 % power) would make it {outcome}, if they are fixed before they "
        "are looked at; to judge again with more of the same raises the error (up to 13 % for "
        "5 %): take new ones, or --quant-sequential on from the start"
    )


def _samples(record: Mapping[str, Any], verdict: Mapping[str, Any]) -> str:
    used, of = verdict["n"], record["dataset"].get("of")
    groups = f" in {verdict['groups']} groups" if verdict.get("groups") else ""
    stopped = f" of {of}, stopped when certain" if of and used and used < of else ""
    return f"{used}{stopped}{groups}"


def _value(record: Mapping[str, Any], verdict: Mapping[str, Any]) -> str:
    metric = record["metrics"].get(verdict["metric"])
    if metric is None:  # a time or bytes
        return _number(verdict["quantized"])
    return f"{estimate(metric_of(metric))} at {metric['confidence']:.0%}"


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4g}"


def diagnosis_block(diagnosis: Mapping[str, Any]) -> Iterator[str]:
    """Causes, worst first, each with its ops and what helps; then what the looks cost."""
    if not diagnosis["findings"]:
        yield "nothing stands out: its loss is that of 8 bits everywhere"
    for rank, found in enumerate(diagnosis["findings"], 1):
        ops = found["ops"]
        counted = plural(len(ops), "op")
        yield f"{rank}. {found['cause']}, {counted}, first op {found['place']}"
        yield f"   {found['text']}"
        shown = [_end_of(op) for op in ops[:_OPS]]
        yield f"   at   {', '.join(shown)}{', ...' if len(ops) > _OPS else ''}"
        yield f"   next {found['remedy']}"
    seconds = diagnosis["seconds"]
    yield "looked for " + ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items())


def recipe_block(text: str, times_s: tuple[float, float]) -> Iterator[str]:
    """What a recipe leaves in float and why, and what it bought.

    Args:
        text: of the recipe.
        times_s: medians of one inference, of the float model and of the mended one.
    """
    recipe = json.loads(text)
    notes = recipe["notes"]
    how = "passes" if notes["passed"] else "does not pass: the closest that was found"
    what = _bits_of(recipe) if "bits" in recipe else _float_ops_of(recipe)
    head, *lines = what
    yield f"{head}, found by {notes['found_by']}; on the calibration split it {how}"
    yield from (f"   {line}" for line in lines)
    before, after = times_s
    word = "faster" if after < before else "slower"
    times = f"{1e3 * after:.1f} ms against {1e3 * before:.1f} in float, {word}"
    yield f"{notes['bytes'] / 1e6:.2f} MB; {times}" if "bytes" in notes else times


def _float_ops_of(recipe: Mapping[str, Any]) -> Iterator[str]:
    yield f"{len(recipe['float_ops'])} of {recipe['notes']['ops']} ops in float"
    for op, why in recipe["float_ops"].items():
        yield f"{_end_of(op)}: {why}"
    if lacking := recipe["notes"].get("no_integer_form"):
        yield f"{lacking} more ops in float, of which ai-edge-quantizer has no integer form"
    for kind, number in Counter(repair["kind"] for repair in recipe.get("repairs", ())).items():
        yield f"repaired: {kind}, {plural(number, 'op')}"


def _bits_of(recipe: Mapping[str, Any]) -> Iterator[str]:
    yield f"{recipe['notes']['average_bits']:.2f} bits a weight"
    for bits, number in sorted(Counter(recipe["bits"].values()).items()):
        yield f"{number} layers at {bits} bits"
    yield f"all others at {recipe['default']}"


def _end_of(name: str) -> str:
    """The telling end of an op's name."""
    last = name.rpartition(";")[2]
    return last if len(last) <= _NAME else f"...{last[-_NAME:]}"


def _row(
    view: View, metric: str, energy: Columns, *, flips: bool, decoding: bool
) -> tuple[str, ...]:
    return (
        view.scheme,
        view.verdict_in_full,
        quality(view, metric),
        difference(view.judged),
        *([flips_of(view.judged)] * flips),
        megabytes(view.weights_bytes),
        milliseconds(view.latency_s),
        *([rate(view.decoded_per_s)] * decoding),
        *energy.cells(view),
    )


def aligned(rows: Sequence[Sequence[str]], text: int) -> Iterator[str]:
    """Columns as wide as their widest cell: `text` of words to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            cell.ljust(width) if i < text else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  " + "  ".join(cells).rstrip()
