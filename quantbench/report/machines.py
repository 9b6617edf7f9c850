"""The same cases on several machines: whether they answer alike, and what each pays."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from quantbench.core.words import plural
from quantbench.errors import RecordError
from quantbench.report.checking import views_of
from quantbench.report.energies import joules
from quantbench.report.numbers import milliseconds
from quantbench.report.tables import as_csv, escaped
from quantbench.report.terminal import aligned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from quantbench.report.views import View

Named = tuple[str, "Mapping[str, Any]"]
Rows = list[dict[str, Any]]
_HEADER = (
    *("case", "machine", "runtime", "instruction sets", "artifact", "answers"),
    *("latency", "energy"),
)
_UNKNOWN, _FIRST = "not recorded", "first"
_ARTIFACT, _EVIDENCE = "artifact sha256", "evidence sha256"
_SAMPLES, _PROTOCOL = "data sha256", "protocol sha256"


def side_by_side(runs: Sequence[Named]) -> Rows:
    """A row a case and run, of the cases that more than one run has, by case in files' order.

    `artifact` says whether the file that ran is the first run's, byte by byte, and `answers`
    whether every sample's answer is. Answers to other samples, or read in another way, are not
    compared. The same artifact with other answers is the kernels' doing.

    Args:
        runs: file name and document (`record/reading.py`) of each.

    Raises:
        RecordError: no two runs share a case, or a record is malformed.
    """
    viewed = [(name, doc["environment"], views_of(doc, name)) for name, doc in runs]
    counted = Counter(view.case for _, _, views in viewed for view in views)
    shared = {case for case, times in counted.items() if times > 1}
    if not shared:
        raise RecordError(
            "no two of these runs share a case",
            where=", ".join(name for name, _ in runs),
            got=", ".join(sorted(counted)[:5]) or "none",
        )
    firsts: dict[str, View] = {}
    rows = []
    for name, environment, views in viewed:
        for view in views:
            if view.case in shared:
                first = firsts.setdefault(view.case, view)
                rows.append({"case": view.case, "file": name, **_machine(environment)}
                            | _told(view, first))  # fmt: skip
    order = {case: place for place, case in enumerate(sorted(firsts))}
    return sorted(rows, key=lambda row: order[row["case"]])


def _machine(environment: Any) -> dict[str, str]:
    known = environment if isinstance(environment, dict) else {}
    sets = known.get("instruction_sets")
    return {
        "machine": _clean(known.get("processor")) or _UNKNOWN,
        "platform": _clean(known.get("platform")) or _UNKNOWN,
        "instruction_sets": " ".join(map(_clean, sets)) if isinstance(sets, list) else _UNKNOWN,
    }


def _clean(value: object) -> str:
    """As text that can be written, on one line."""
    text = " ".join(str(value or "").split())
    return text.encode("utf-8", "replace").decode()[:200]


def _told(view: View, first: View) -> dict[str, Any]:
    own = view.energies
    return {
        "runtime": view.runtime,
        "device": view.device,
        "threads": view.facts.get("threads"),
        "artifact": _alike(view, first, (_ARTIFACT,)),
        "answers": _alike(view, first, (_SAMPLES, _PROTOCOL, _EVIDENCE)),
        "verdict": view.verdict,
        "latency_s": view.latency_s,
        "joules": own.joules,
        "energy": own.provenance,
        "energy_by": own.by or own.reason,
    }


def _alike(view: View, first: View, digests: Sequence[str]) -> str:
    """By the last of the digests, where the others agree."""
    *before, last = digests
    if view is first:
        return _FIRST if first.facts.get(last) else _UNKNOWN
    sides = [[each.facts.get(name) for name in digests] for each in (view, first)]
    if None in {sides[0][-1], sides[1][-1]}:
        return _UNKNOWN
    if any(view.facts.get(name) != first.facts.get(name) for name in before):
        return "other samples or protocol"
    return "same" if sides[0][-1] == sides[1][-1] else "differ"


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    energy = joules(row["joules"], estimated=row["energy"] == "estimated")
    where = row["machine"] if row["device"] == "cpu" else f"{row['machine']} with {row['device']}"
    known = ("runtime", "instruction_sets", "artifact", "answers")
    told = tuple(str(row[name]) for name in known)
    return (row["case"], where, *told, milliseconds(row["latency_s"]), energy)


def _notes(rows: Rows) -> Iterator[str]:
    odd = {row["case"] for row in rows if row["artifact"] == "same" and row["answers"] == "differ"}
    if odd:
        yield (
            f"{plural(len(odd), 'case')} of one artifact with other answers: kernels differ by "
            "machine; judge each machine's own evidence"
        )
    files = dict.fromkeys((row["file"], row["machine"], row["platform"]) for row in rows)
    for file, machine, platform in files:
        yield f"{file}: {machine}, {platform}"
    for by in dict.fromkeys(row["energy_by"] for row in rows if row["joules"] is not None):
        yield f"energy by {by}"


def as_table(rows: Rows) -> str:
    """Aligned columns, then where each file was made."""
    lines = [*aligned([_HEADER, *map(_cells, rows)], text=6)]
    return "\n".join([*lines, *_notes(rows)]) + "\n"


def as_markdown(rows: Rows) -> str:
    """A table of GitHub's Markdown."""
    lines = [_HEADER, tuple("---" for _ in _HEADER), *map(_cells, rows)]
    text = "\n".join(f"| {' | '.join(map(escaped, line))} |" for line in lines)
    return "\n".join([text, "", *(f"- {escaped(note)}" for note in _notes(rows))]) + "\n"


def as_json(rows: Rows) -> str:
    """The rows."""
    return json.dumps(rows, indent=1, allow_nan=False) + "\n"


FORMATS: dict[str, Callable[[Rows], str]] = {
    "table": as_table,
    "markdown": as_markdown,
    "csv": as_csv,
    "json": as_json,
}
