"""What of the catalog can run on this machine as it stands, and what the rest lacks."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quantbench.catalog.sources import File, parse_source
from quantbench.errors import QuantbenchError
from quantbench.predict.devices import require_cuda, runner_for
from quantbench.requirements import lacking

if TYPE_CHECKING:
    from pathlib import Path

    from quantbench.artifacts import Store
    from quantbench.study import Case

_ELSEWHERE = {"autogptq": "needs an environment of its own: tox -e autogptq"}
_EXTRAS = {"detection": "detection", "last_word": "language"}  # of each task


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
    extras = {_EXTRAS.get(case.model.task)}
    if case.scheme.quantizer == "autogptq" and "QUANTBENCH_AUTOGPTQ_PYTHON" not in os.environ:
        extras.add("autogptq")
    for extra in sorted(extra for extra in extras if extra):
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
    dataset = case.dataset
    calibration = dataset.calibration_source if case.scheme.calibrated else None
    fetched = []
    for text in dict.fromkeys(filter(None, (case.model.source, dataset.source, calibration))):
        source = parse_source(text, data)
        if isinstance(source, File):
            source.check()
        elif not store.has("source", source.ingredients()):
            fetched.append(text.partition("#")[0])
    return fetched
