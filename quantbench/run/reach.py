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
from quantbench.sources.random_weights import RandomWeights
from quantbench.study.calibration import calibrates
from quantbench.study.registry import backends, find_backend, find_quantizer, runner_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
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
    lacks, fetched = list(_extras_lacking(case)), []
    if not lacks:
        try:
            _check_parts(case)
        except QuantbenchError as error:
            lacks.append(_in_a_line(error))
    for text in _sources(case):
        try:
            if not _is_here(text, store, data):
                fetched.append(text.partition("#")[0])
        except QuantbenchError as error:
            lacks.append(_in_a_line(error))
    if lacks:
        also = [f"to be fetched: {', '.join(fetched)}"] if fetched else []
        return Reach(str(case), "missing", "; ".join([*lacks, *also]))
    return Reach(str(case), "fetch" if fetched else "ready", ", ".join(fetched))


def _extras_lacking(case: Case) -> Iterator[str]:
    for extra in sorted(extras_of(case)):
        if lacks := lacking(extra):
            more = f" and {len(lacks) - 1} more" if len(lacks) > 1 else ""
            remedy = _ELSEWHERE.get(extra, f'pip install "quantbench[{extra}]"')
            yield f"{lacks[0]}{more}; {remedy}"


def _check_parts(case: Case) -> None:
    """Raise for what the case's device, backend or importers cannot do."""
    if case.device == "cuda":
        runner_for(case)
        require_cuda()
    find_quantizer(case.scheme)
    importers_of(case.model, find_backend(case.scheme.backend))


def _sources(case: Case) -> Iterable[str]:
    """What the case reads; a quantizer that cannot be asked is taken to calibrate."""
    try:
        calibrated = bool(calibrates(find_quantizer(case.scheme), case.scheme))
    except QuantbenchError:
        calibrated = True
    return sources_of(case, calibrated=calibrated)


def _is_here(text: str, store: Store, data: Path | None) -> bool:
    """Whether nothing is fetched for it; raises for what cannot be had."""
    source = parse_source(text, data)
    if isinstance(source, File):
        source.check()
        return True
    return isinstance(source, RandomWeights) or store.has("source", source.ingredients())


def _in_a_line(error: QuantbenchError) -> str:
    return "; ".join(" ".join(line.split()) for line in str(error).splitlines())
