"""What the collected tests will ask for, told to an executor that works ahead of them."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import pytest

from quantbench.errors import UsageError
from quantbench.plugin.state import EXECUTOR, SETTINGS, case_of, progress_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from quantbench.protocols import Step
    from quantbench.study import Case

_RESOURCES = "quant_resources"
_HERE = {"quantized", "decoding", "benchmark"}  # fixtures whose test needs the model in its process


def refuse_workers(config: pytest.Config) -> None:
    """Two that share out work would share out the same work.

    Raises:
        UsageError: xdist's workers are asked for beside a cluster.
    """
    if config.stash[SETTINGS].executor != "local" and config.getoption("tx", None):
        raise UsageError(
            "--quant-executor and -n do not go together",
            expected="one process that gives out the steps of all cases",
            got=f"--quant-executor {config.stash[SETTINGS].executor} with xdist's workers",
            remedy="leave -n out: the cluster computes while the tests judge",
        )


def skip_timing(item: pytest.Item) -> None:
    """Where one host is named that times models, no other does."""
    wanted = item.config.stash[SETTINGS].timing_node
    times = "benchmark" in getattr(item, "fixturenames", ()) and case_of(item) is not None
    if wanted is not None and times and wanted != platform.node():
        pytest.skip(f"models are timed on {wanted} alone (--quant-timing-node), this is "
                    f"{platform.node()}")  # fmt: skip


def is_done_elsewhere(item: pytest.Item) -> bool:
    """Whether the test needs no device of this machine: a cluster has it, or will say so."""
    return EXECUTOR in item.config.stash and not _HERE & set(getattr(item, "fixturenames", ()))


def look_ahead(session: pytest.Session) -> None:
    """Begin what the tests will ask for, where that is done by a cluster.

    Raises:
        UsageError: there is no such cluster, or the cases cannot be sent to it.
        MissingExtraError: its client is not installed.
    """
    config = session.config
    settings = config.stash[SETTINGS]
    items = [item for item in session.items if case_of(item) is not None]
    if settings.executor == "local" or config.option.collectonly or not items:
        return
    from quantbench.run.executors.choosing import begin

    steps = [step for item in items for step in _steps(item)]
    executor = begin(
        settings,
        list(dict.fromkeys(step.case for step in steps)),
        progress_of(config),
        modules=_modules(session),
        resources=_resources(items),
    )
    if executor is None:
        return
    config.stash[EXECUTOR] = executor
    config.add_cleanup(executor.close)
    executor.expect(list(dict.fromkeys(steps)))


def _steps(item: pytest.Item) -> Iterator[Step]:
    """What a test's fixtures will ask for; what these need comes by itself."""
    from quantbench.protocols import Step

    case, names = case_of(item), set(getattr(item, "fixturenames", ()))
    if case is None:
        return
    if case.model.has_random_weights:
        names -= {"evaluation", "reference"}
    if names & {"sample", "quantized"}:
        yield Step("import", case)
    if "quantized" in names:
        yield Step("build", case)
    if names & {"evaluation", "reference"}:
        yield Step("sum up", case)
    if "reference" in names and case.model.reference is not None:
        yield Step("compare", case.reference)
        yield Step("compare", case)


def _modules(session: pytest.Session) -> list[ModuleType]:
    """Of the tests and of their conftests: no node can import them."""
    found = {getattr(item, "module", None) for item in session.items}
    plugins = session.config.pluginmanager.get_plugins()
    conftests = {p for p in plugins if str(getattr(p, "__file__", "")).endswith("conftest.py")}
    return [module for module in found | conftests if module is not None]


def _resources(items: list[pytest.Item]) -> dict[Case, dict[str, float]]:
    """What markers say that the steps of a case take."""
    found: dict[Case, dict[str, float]] = {}
    for item in items:
        case = case_of(item)
        for mark in item.iter_markers(_RESOURCES):
            if case is not None:
                found.setdefault(case, {}).update(mark.kwargs)
    return found
