"""What of the catalog can run on this machine as it stands, and what the rest lacks."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quantbench.core.requirements import extras, lacking
from quantbench.errors import QuantbenchError
from quantbench.measure.devices import require_cuda
from quantbench.run.steps.resolve import importers_of, sources_of
from quantbench.sources.parsing import File, parse_source
from quantbench.study.calibration import calibrates
from quantbench.study.registry import backends, find_backend, find_quantizer, runner_for

if TYPE_CHECKING:
    from pathlib import Path

    from quantbench.store.artifacts import Store
    from quantbench.study import Case

_HUBS = ("hf:", "kaggle:")  # sources that a hub's own client fetches
_ELSEWHERE = {"autogptq": "needs an environment of its own: tox -e autogptq"}


def extras_of(case: Case) -> set[str]:
    """The extras that a case needs: of its backend, quantizer, task, importers and sources."""
    named = {case.scheme.backend, case.scheme.quantizer, case.task, *_importing(case)}
    if any(text.startswith(_HUBS) for text in sources_of(case, calibrated=True)):
        named.add("hubs")
    return named.intersection(extras()) - (
        {"autogptq"} if "QUANTBENCH_AUTOGPTQ_PYTHON" in os.environ else set()
    )


def _importing(case: Case) -> set[str]:
    """The backends whose importers make the float model; none where no chain leads there."""
    try:
        chain = importers_of(case.model, find_backend(case.scheme.backend))
    except QuantbenchError:
        return set()  # told when the case runs
    made_by = [each for _, each in chain]
    return {
        name
        for name, backend in backends().items()
        if any(each in made_by for each in backend.importers.values())
    }


@dataclass(frozen=True)
class Reach:
    """Whether a case can run.

    Attributes:
        state: "ready", "fetch" (its files come from outside when it runs), or "missing".
        why: what is fetched, or missing and how it is had.
    """

    case: str
    state: str
    why: str = ""


def reach_of(case: Case, store: Store, data: Path | None = None) -> Reach:
    """Look without fetching, building or importing anything heavy."""
    for extra in sorted(extras_of(case)):
        if lacks := lacking(extra):
            more = f" and {len(lacks) - 1} more" if len(lacks) > 1 else ""
            remedy = _ELSEWHERE.get(extra, f'pip install "quantbench[{extra}]"')
            return Reach(str(case), "missing", f"{lacks[0]}{more}; {remedy}")
    try:
        fetched = _fetched(case, store, data)
    except QuantbenchError as error:
        said = "; ".join(" ".join(line.split()) for line in str(error).splitlines())
        return Reach(str(case), "missing", said)
    return Reach(str(case), "fetch" if fetched else "ready", ", ".join(fetched))


def _fetched(case: Case, store: Store, data: Path | None) -> list[str]:
    """The sources that are neither here nor in the store; raises for what cannot be had."""
    if case.device == "cuda":
        runner_for(case)
        require_cuda()
    calibrated = bool(calibrates(find_quantizer(case.scheme), case.scheme))
    fetched = []
    for text in sources_of(case, calibrated=calibrated):
        source = parse_source(text, data)
        if isinstance(source, File):
            source.check()
        elif not store.has("source", source.ingredients()):
            fetched.append(text.partition("#")[0])
    return fetched
