"""The cases of record files in other forms than a page: Markdown, CSV, JSON, pictures."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import TYPE_CHECKING, Any

from quantbench.report.energies import Columns
from quantbench.report.energies import notes as notes_of_energy
from quantbench.report.numbers import (
    difference,
    flips,
    margin,
    milliseconds,
    quality,
    rate,
    size,
)
from quantbench.report.outcome import outcome
from quantbench.report.runtimes import (
    FASTEST,
    FASTEST_NOTE,
    OWN_DIFFERENCE,
    fastest,
    fastest_header,
    groups,
)
from quantbench.report.tables import escaped, inert
from quantbench.report.views import studies_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from quantbench.report.views import Study, View


def as_markdown(views: Sequence[View], runs: Sequence[Mapping[str, Any]]) -> str:
    """One sentence, a table for each study, and what was skipped (GitHub's Markdown)."""
    lines = [f"**{escaped(outcome(views))}**", ""]
    for study in studies_of(views):
        members = [view for _, group in groups(study) for view in group]
        metric = study.metric or "metric"
        energy, decoding = Columns.of(members), study.has_decoding
        several = len(study.runtimes) > 1
        header = (
            *["runtime"] * several,
            *("scheme", "verdict", metric, "difference", "margin", "flips", "size", "latency"),
            *["tokens/s"] * decoding,
            *energy.header,
        )
        lines += [f"### {escaped(study.title)}", "", row(header), row(["---"] * len(header))]
        lines += [
            row(
                map(
                    escaped,
                    [
                        *[view.runtime] * several,
                        *_cells(view, metric, energy, decoding=decoding),
                    ],
                )
            )
            for view in members
        ]
        lines += ["", *_fastest(study)]
        lines += [f"- {escaped(note)}" for note in notes_of_energy(members)]
        for view in members:
            if view.runtime_float:
                lines += [
                    f"- {escaped(f'{view.scheme}: float of {view.runtime}; {OWN_DIFFERENCE}')}"
                ]
            if view.error:
                first = next(iter(view.error[1].splitlines()), "")
                lines += [f"- {escaped(f'{view.scheme}: {view.error[0]}: {first}')}"]
        lines += [""] if lines[-1] else []
    for run in runs:
        for reason, cases in run["skipped"].items():
            lines.append(f"Skipped {len(cases)}: {escaped(reason)}")
    return "\n".join(lines).rstrip() + "\n"


def _fastest(study: Study) -> list[str]:
    """A table of the fastest case of each runtime."""
    rows = [row(map(escaped, each.cells)) for each in fastest(study)]
    header = fastest_header(study)
    head = [row(header), row(["---"] * len(header))]
    return [f"{FASTEST}; {FASTEST_NOTE}:", "", *head, *rows, ""] if rows else []


def row(cells: Iterable[str]) -> str:
    """One line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def _cells(view: View, metric: str, energy: Columns, *, decoding: bool) -> tuple[str, ...]:
    return (
        view.scheme,
        view.verdict_in_full,
        quality(view, metric),
        difference(view.judged),
        margin(view.judged) if view.judged else "-",
        flips(view.judged),
        size(view.weights_bytes) + _ratio(view.size_ratio),
        milliseconds(view.latency_s) + _ratio(view.latency_ratio),
        *([rate(view.decoded_per_s)] * decoding),
        *energy.cells(view),
    )


def _ratio(ratio: float | None) -> str:
    return "" if ratio is None else f" (x{ratio:.2f})"


def as_csv(views: Sequence[View], runs: Sequence[Mapping[str, Any]]) -> str:
    """One line a case and metric or gate, numbers in full."""
    del runs
    file = io.StringIO()
    rows = [row for view in views for row in _flat(view)]
    writer = csv.DictWriter(file, fieldnames=list(_COLUMNS), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: inert(value) for name, value in row.items()} for row in rows)
    return file.getvalue()


_COLUMNS = (
    *("run", "case", "model", "scheme", "backend", "dataset", "device", "n", "verdict"),
    *("metric", "value", "low", "high", "confidence", "method"),
    *("difference", "difference_low", "difference_high", "margin", "outcome", "lost", "won"),
    *("weights_bytes", "artifact_bytes", "peak_bytes", "latency_s", "joules", "energy"),
    *("joules_low", "joules_high", "energy_by", "idle_watts", "load_by_others"),
    *("joules_per_prefill_token", "joules_per_decoded_token", "build_joules", "build_energy"),
    *("evaluation_joules", "grams_co2e_per_million", "grid", "pays_after_inferences", "error"),
)


def _flat(view: View) -> list[dict[str, Any]]:
    names = ("run", "case", "model", "scheme", "backend", "dataset", "device", "n", "verdict")
    costs = ("weights_bytes", "artifact_bytes", "peak_bytes", "latency_s", "joules", "energy")
    base = {name: getattr(view, name) for name in (*names, *costs)}
    own = view.energies
    base |= {
        "joules_low": own.low,
        "joules_high": own.high,
        "energy_by": own.by,
        "idle_watts": own.idle_watts,
        "load_by_others": own.load_by_others,
        "joules_per_prefill_token": own.per_prefill_token,
        "joules_per_decoded_token": own.per_decoded_token,
        "build_joules": own.build_joules,
        "build_energy": own.build_provenance,
        "evaluation_joules": own.evaluation_joules,
        "grams_co2e_per_million": own.grams_per_million,
        "grid": own.grid,
        "pays_after_inferences": "never" if own.pays_after == math.inf else own.pays_after,
    }
    base["error"] = view.error[0] if view.error else None
    judged = {j.metric: j for j in reversed(view.judgements) if j.against == "reference"}
    rows = []
    for metric in dict.fromkeys([*view.metrics, *judged]):
        row: dict[str, Any] = {**base, "metric": metric}
        if (number := view.metrics.get(metric)) is not None:
            row |= {"value": number.value, "low": number.low, "high": number.high}
            row |= {"confidence": number.confidence, "method": number.method}
        if (by := judged.get(metric)) is not None:
            row |= {"difference": by.difference, "difference_low": by.low}
            row |= {"difference_high": by.high, "margin": by.margin, "outcome": by.outcome}
            row |= dict(zip(("lost", "won"), by.flips, strict=True)) if by.flips else {}
        rows.append(row)
    return rows or [base]


def as_json(views: Sequence[View], runs: Sequence[Mapping[str, Any]]) -> str:
    """The lines of the CSV as objects, beside outcome and runs."""
    rows = [row for view in views for row in _flat(view)]
    whole = {"outcome": outcome(views), "runs": list(runs), "cases": rows}
    return json.dumps(whole, indent=1, allow_nan=False) + "\n"


def write_pngs(views: Sequence[View], folder: Path) -> list[Path]:
    """Every figure of every study, a file each."""
    from quantbench.report.drawing import as_png
    from quantbench.report.figures import drawn

    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for study in studies_of(views):
        stem = "-".join(filter(None, (study.model, study.dataset, study.device, study.run)))
        for figure in drawn(study):
            path = _unused(folder, f"{_file_name(stem)}-{figure.name}", written)
            path.write_bytes(as_png(figure))
            written.append(path)
    return written


def _unused(folder: Path, name: str, written: list[Path]) -> Path:
    path, n = folder / f"{name}.png", 1
    while path in written:
        n += 1
        path = folder / f"{name}-{n}.png"
    return path


def _file_name(text: str) -> str:
    """Letters, digits and `._-` alone: names out of a file never become paths unchecked."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in text)
    return kept.lstrip(".")[:120] or "study"
