"""From record files to what a report shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quantbench.errors import RecordError
from quantbench.record.reading import read_document
from quantbench.report.views import View, views_of, worst_first

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def gathered(paths: Sequence[Path]) -> tuple[list[View], list[dict[str, Any]]]:
    """The cases of all files, worst first, and where they come from.

    Cases carry the name of their file where one of them is in two.

    Raises:
        RecordError: a file cannot be read, or none has a case.
    """
    documents = [(path, read_document(path)) for path in paths]
    names = [record["case"] for _, document in documents for record in document["records"]]
    several = len(set(names)) < len(names)
    views: list[View] = []
    for path, document in documents:
        views += views_of(document, str(path), path.stem if several else "")
    if not views:
        raise RecordError(
            "no case ran in these files",
            where=", ".join(map(str, paths)),
            remedy="the run's summary says what each skipped case lacked",
        )
    runs = [run_of(path.name, document) for path, document in documents]
    return sorted(views, key=worst_first), runs


def run_of(name: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """Where and with what a run was made, and what it skipped, as texts."""
    environment = document["environment"]
    packages = environment.get("packages") if isinstance(environment, dict) else None
    facts = {
        name: str(value)
        for name, value in (environment.items() if isinstance(environment, dict) else ())
        if name != "packages"
    }
    if isinstance(packages, dict):
        facts["packages"] = ", ".join(f"{name} {version}" for name, version in packages.items())
    facts["schema"] = str(document["schema"])
    skipped: dict[str, list[str]] = {}
    for each in document["skipped"]:
        if isinstance(each, dict):
            reason = " ".join(str(each.get("reason")).split())
            skipped.setdefault(reason, []).append(str(each.get("case")))
    return {"file": name, "facts": facts, "skipped": skipped}
