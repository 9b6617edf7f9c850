"""What `quantbench judge` shows: verdicts, and every number with its paired difference."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from quantbench.report.tables import FORMATS as SHARED
from quantbench.report.tables import escaped
from quantbench.report.terminal import aligned
from quantbench.run.judging import difference
from quantbench.stats.gates import outcome_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from quantbench.judge.coco_files import Lost
    from quantbench.run.results import Results
    from quantbench.stats.comparison import Estimate
    from quantbench.stats.gates import Verdict

    Rows = list[dict[str, Any]]

_NUMBERS = (
    *("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large"),
    *("AR1", "AR10", "AR", "AR_small", "AR_medium", "AR_large"),
)
_VERDICTS = ("file", "verdict", "metric", "reference", "value", "difference", "margin", "flips")
_OTHERS = ("file", "metric", "reference", "value", "difference")


def judged_rows(
    sets: Sequence[Sequence[Results]],
    verdicts: Sequence[tuple[Results, Verdict]],
    lost: Sequence[Lost] | None = None,
) -> Rows:
    """A row a verdict, then, of COCO's results, a row a number and file.

    Args:
        sets: judged results, each set with its reference first.
        verdicts: with the results that each is on.
        lost: of COCO's results, which are one set, what each one's AP50 lacks: show this, their
            numbers, and those of agreement with the reference.
    """
    found = [_of_verdict(other, verdict) for other, verdict in verdicts]
    if lost is not None:
        ((reference, *others),) = sets
        found += [row for other in others for row in _of_numbers(other, reference)]
        for results, errors in zip(sets[0], lost, strict=True):
            found += _of_errors(results, errors or {})
    return found


def _of_verdict(results: Results, verdict: Verdict) -> dict[str, Any]:
    gate, by = verdict.gate, verdict.difference
    return {
        **_named(results, "verdict", gate.metric),
        "verdict": verdict.outcome,
        "alone": outcome_of(by, gate),
        "reference": verdict.reference,
        "value": verdict.quantized,
        **_ends(by),
        "relative": gate.relative,
        "margin": gate.margin,
        "p_value": verdict.p_value,
        "flips": "/".join(map(str, verdict.flips)) if verdict.flips else None,
        "to_decide": verdict.samples_to_decide,
    }


def _of_numbers(results: Results, reference: Results) -> Iterator[dict[str, Any]]:
    from quantbench.tasks.detection.metrics import agreement

    for metric in (*_NUMBERS, *agreement.NAMES):
        values = reference.value(metric), results.value(metric)
        if all(map(math.isfinite, values)):
            yield {
                **_named(results, "number", metric),
                "reference": values[0],
                "value": values[1],
                **_ends(difference(results, reference, metric)),
            }


def _of_errors(
    results: Results, errors: Mapping[str, Mapping[str, float]]
) -> Iterator[dict[str, Any]]:
    """What AP50 lacks, by the kind of error that would have to be mended."""
    for kind, lost in errors.items():
        yield {
            **_named(results, "error", kind),
            "value": lost["gain"],
            "count": int(lost["count"]),
        }


def _named(results: Results, kind: str, metric: str) -> dict[str, Any]:
    """All columns, in their order; what a row does not know is None."""
    known = {"kind": kind, "file": results.name, "data": results.dataset["name"], "metric": metric}
    later = (
        "verdict",
        "alone",
        "reference",
        "value",
        "difference",
        "low",
        "high",
        "method",
        "relative",
    )
    more = ("margin", "n", "groups", "duplicates", "flips", "p_value", "to_decide", "count")
    seen = {"n": len(results.rows), "duplicates": results.dataset.get("duplicates")}
    return {**known, **dict.fromkeys((*later, *more)), **seen}


def _ends(by: Estimate) -> dict[str, Any]:
    return {
        "difference": by.value,
        "low": by.low,
        "high": by.high,
        "method": by.method,
        "groups": by.groups,
    }


def as_table(rows: Rows) -> str:
    """Aligned columns: the verdicts of each data set, then the numbers, then the errors."""
    lines: list[str] = []
    for title, header, cells in _parts(rows):
        lines += ["", title, *aligned([header, *cells], text=_texts(header))]
    return "\n".join([*lines[1:], *_remarks(rows)]) + "\n"


def as_markdown(rows: Rows) -> str:
    """The same as GitHub's tables."""
    lines: list[str] = []
    for title, header, cells in _parts(rows):
        table = [header, tuple("---" for _ in header), *cells]
        lines += ["", f"**{escaped(title)}**", ""]
        lines += [f"| {' | '.join(map(escaped, line))} |" for line in table]
    return "\n".join([*lines[1:], "", *map(escaped, _remarks(rows))]) + "\n"


FORMATS = {**SHARED, "table": as_table, "markdown": as_markdown}


def _texts(header: Sequence[str]) -> int:
    """Columns of text come first, those of numbers after them."""
    return header.index("reference") if "reference" in header else 2


def _parts(rows: Rows) -> Iterator[tuple[str, tuple[str, ...], list[tuple[str, ...]]]]:
    """Title, header and cells of each table."""
    for data in dict.fromkeys(row["data"] for row in rows):
        verdicts = [row for row in rows if (row["data"], row["kind"]) == (data, "verdict")]
        first = verdicts[0]
        several = f" in {first['groups']} groups" if first["groups"] else ""
        left_out = first["duplicates"]
        once = f" ({left_out} of equal content left out)" if left_out else ""
        yield f"{data}, {first['n']} samples{several}{once}", _VERDICTS, [*map(_verdict, verdicts)]
    numbers = [row for row in rows if row["kind"] == "number"]
    if numbers:
        yield "every number, 90 % intervals, not judged", _OTHERS, [*map(_number, numbers)]
    errors = [row for row in rows if row["kind"] == "error"]
    if errors:
        header = ("file", "error", "AP50 lost by it", "count")
        yield "what the missing AP50 is made of (TIDE)", header, [*map(_error, errors)]


def _verdict(row: dict[str, Any]) -> tuple[str, ...]:
    margin = f"{100 * row['margin']:g} %" if row["relative"] else f"{row['margin']:g}"
    file, metric, *rest = _number(row)
    return (file, row["verdict"], metric, *rest, margin, row["flips"] or "-")


def _error(row: dict[str, Any]) -> tuple[str, ...]:
    return row["file"], row["metric"], f"{row['value']:.3f}", str(row["count"])


def _number(row: dict[str, Any]) -> tuple[str, ...]:
    scale, places, unit = (100, 1, " %") if row["relative"] else (1, 3, "")
    low, high = (
        f"{scale * end:+.{places}f}" if math.isfinite(end) else "open"
        for end in (row["low"], row["high"])
    )
    return (
        row["file"],
        row["metric"],
        f"{row['reference']:.3f}",
        f"{row['value']:.3f}",
        f"{scale * row['difference']:+.{places}f} [{low}, {high}]{unit}",
    )


def _remarks(rows: Rows) -> list[str]:
    found = []
    for row in rows:
        if row["kind"] == "verdict" and row["verdict"] == "inconclusive":
            what = "groups" if row["groups"] else "samples"
            needs = (
                f"about {row['to_decide']:,} {what} would decide (80 % power), all of them new: "
                "to judge again with more of the same raises the error"
                if row["to_decide"]
                else "corrected for the number of files (Holm), it is not certain enough"
                if row["alone"] == "pass"
                else "the difference lies on the margin"
            )
            found.append(f"{row['file']}, {row['data']}: {needs}")
    return found
