"""From record files to what a report shows."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from quantbench.errors import RecordError
from quantbench.record.reading import read_document
from quantbench.report.checking import views_of
from quantbench.report.views import View, worst_first

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


_LONG = 2000  # characters of a command line or package list that are shown


def gathered(paths: Sequence[Path]) -> tuple[list[View], list[dict[str, Any]]]:
    """The cases of all files, worst first, and where they come from.

    Cases carry the name of their file where one of them is in two.

    Raises:
        RecordError: a file cannot be read, or none has a case.
    """
    documents = [(path, read_document(path)) for path in paths]
    names = [record["case"] for _, document in documents for record in document["records"]]
    labels = names_of(paths) if len(set(names)) < len(names) else [""] * len(paths)
    views: list[View] = []
    for (path, document), label in zip(documents, labels, strict=True):
        cases = Counter(record["case"] for record in document["records"])
        if twice := [case for case, n in cases.items() if n > 1]:
            raise RecordError(
                "a case stands in the file twice",
                where=path,
                got=twice[0],
                remedy="give each run a file of its own",
            )
        views += views_of(document, str(path), label)
    if not views:
        raise RecordError(
            "no case ran in these files",
            where=", ".join(map(str, paths)),
            remedy="the run's summary says what each skipped case lacked",
        )
    runs = [
        run_of(label or path.name, document)
        for (path, document), label in zip(documents, labels, strict=True)
    ]
    return sorted(views, key=worst_first), runs


def names_of(paths: Sequence[Path]) -> list[str]:
    """The files' stems; with their folders, then numbers, where these are the same."""
    for name in (lambda p: p.stem, lambda p: f"{p.absolute().parent.name}/{p.stem}"):
        found = [name(path) for path in paths]
        if len(set(found)) == len(found):
            return found
    return [f"{path.stem} #{i}" for i, path in enumerate(paths, 1)]


def run_of(name: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """Where and with what a run was made, and what it skipped, as texts."""
    environment = document["environment"]
    packages = environment.get("packages") if isinstance(environment, dict) else None
    facts = {
        _clean(name): _clean(", ".join(map(str, value)) if isinstance(value, list) else value)
        for name, value in (environment.items() if isinstance(environment, dict) else ())
        if name != "packages"
    }
    if isinstance(packages, dict):
        facts["packages"] = _clean(", ".join(f"{name} {v}" for name, v in packages.items()))
    facts["schema"] = str(document["schema"])
    skipped: dict[str, list[str]] = {}
    for each in document["skipped"]:
        if isinstance(each, dict):
            reason = _clean(" ".join(str(each.get("reason")).split()))
            skipped.setdefault(reason, []).append(_clean(each.get("case")))
    return {"file": name, "facts": facts, "skipped": skipped}


def _clean(value: object) -> str:
    """As text that can be written, of a length that can be read."""
    text = str(value).encode("utf-8", "replace").decode()
    return text if len(text) <= _LONG else f"{text[:_LONG]}…"
