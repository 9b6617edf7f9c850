"""The pytest face: options, markers and hooks; what they do stands in the modules beside.

Nothing heavy is imported until a fixture is used: loading this package costs pytest milliseconds.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from quantbench.core.settings import OPTIONS, parse_settings
from quantbench.errors import MissingExtraError, RecordError, UsageError
from quantbench.plugin import fixtures
from quantbench.plugin.ahead import is_done_elsewhere, look_ahead, refuse_workers, skip_timing
from quantbench.plugin.choosing import choose
from quantbench.plugin.outcomes import begin, judge, with_record
from quantbench.plugin.quiet import quieten
from quantbench.plugin.recorder import Recorder
from quantbench.plugin.room import look_for_room, refuse_without_room
from quantbench.plugin.state import (
    JOURNAL,
    JOURNAL_INPUT,
    RECORDER,
    REFUSED,
    SETTINGS,
    TERMINAL,
    case_of,
    within_reach,
)
from quantbench.plugin.timing import watch

if TYPE_CHECKING:
    from collections.abc import Generator

    from quantbench.record.journal import Journal

_MARKERS = (
    "quant_resources(NAME=AMOUNT): what the steps of the test's case take of a cluster's node",
    "gpu: needs a CUDA device",
    "network: needs a package registry, hub or web server",
    "slow: takes more than a few seconds",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--quant-NAME`, ini `quant_NAME`; the environment's `QUANTBENCH_NAME` stands between."""
    group = parser.getgroup("quantbench", "model quantization")
    for name, text in OPTIONS.items():
        option = f"--quant-{name.replace('_', '-')}"
        group.addoption(option, metavar=name.upper(), help=text)
        parser.addini(f"quant_{name}", text, type="string", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse bad options before any work."""
    config.pluginmanager.register(fixtures, "quantbench-fixtures")
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)
    try:
        config.stash[SETTINGS] = parse_settings(
            {name: config.getoption(f"quant_{name}") for name in OPTIONS},
            {name: config.getini(f"quant_{name}") for name in OPTIONS},
            os.environ,
        )
        refuse_workers(config)
        if (grid := config.stash[SETTINGS].grid) is not None:
            from quantbench.measure.grid import parse_grid

            parse_grid(grid)
        if (baseline := config.stash[SETTINGS].baseline) is not None:
            from quantbench.record.baseline import read_baseline

            read_baseline(baseline)
        if (journal := _journal(config)) is not None:
            config.stash[JOURNAL] = journal
            if not hasattr(config, "workerinput"):
                journal.own()
                config.add_cleanup(journal.release)
        if not hasattr(config, "workerinput"):  # xdist's workers send their reports here
            config.pluginmanager.register(Recorder(config), RECORDER)
    except (UsageError, RecordError, MissingExtraError) as error:
        raise pytest.UsageError(str(error)) from error
    if not hasattr(config, "workerinput"):
        with suppress(OSError, ValueError):  # a run inside of another has no output of its own
            # While a test runs, what pytest itself writes is captured too.
            terminal = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
            config.stash[TERMINAL] = terminal
            config.add_cleanup(terminal.close)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the chosen schemes, and bring the tests of one case together."""
    try:
        choose(config, items)
    except pytest.UsageError as error:
        if hasattr(config, "workeroutput"):  # xdist drops what its workers refuse
            config.workeroutput[REFUSED] = str(error)
        raise


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Note what was judged before, and skip tests marked `gpu` where there is no GPU."""
    begin(item)
    quieten(item)
    skip_timing(item)
    refuse_without_room(item)
    if item.get_closest_marker("gpu") and not is_done_elsewhere(item):
        from quantbench.measure.devices import require_cuda

        within_reach(item.config, require_cuda)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Hang the case's record on the report: reports travel between xdist processes."""
    report = yield
    return with_record(item, call, report)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Note what the test times, and judge it when it ends."""
    __tracebackhide__ = True
    found = case_of(item)
    benchmark = getattr(item, "funcargs", {}).get("benchmark")
    if found is not None and benchmark is not None:
        watch(benchmark, found)
    return (yield from judge(item))


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Say what this machine has no room for; let a cluster begin with what tests will ask for."""
    look_for_room(session)
    try:
        look_ahead(session)
    except (UsageError, MissingExtraError) as error:
        raise pytest.UsageError(str(error)) from error


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> None:
    """Note which test of which case begins, in the process that may die in it."""
    found = case_of(item)
    if found is None or JOURNAL not in item.config.stash:
        return
    from quantbench.record.schema import empty_record

    if (recorder := item.config.pluginmanager.get_plugin(RECORDER)) is not None:
        recorder.begin()
    item.config.stash[JOURNAL].write(begins=item.nodeid, record=empty_record(found))


def _journal(config: pytest.Config) -> Journal | None:
    """Of the file that records go to; workers are told by the process that writes it."""
    output = config.getoption("benchmark_json", None)
    path = getattr(config, "workerinput", {}).get(JOURNAL_INPUT)
    if output is None and path is None:
        return None
    if path is None and not output.parent.is_dir():
        raise UsageError("--benchmark-json names a file in no folder", got=output.absolute())
    from quantbench.record.journal import Journal

    return Journal(Path(path)) if path else Journal.beside(output)
