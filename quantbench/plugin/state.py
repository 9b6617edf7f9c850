"""What the hooks keep on pytest's configuration and items, and how a test's case is found."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

import pytest

from quantbench.errors import OutOfReachError
from quantbench.study import Case

if TYPE_CHECKING:
    from collections.abc import Callable

    from quantbench.core.progress import Progress
    from quantbench.core.settings import Settings
    from quantbench.protocols import Executor
    from quantbench.record.journal import Journal
    from quantbench.run.results import Results
    from quantbench.run.session import Session
    from quantbench.stats.gates import Verdict

SETTINGS: pytest.StashKey[Settings] = pytest.StashKey()
BENCH: pytest.StashKey[Session] = pytest.StashKey()
TERMINAL: pytest.StashKey[IO[str]] = pytest.StashKey()
EXECUTOR: pytest.StashKey[Executor] = pytest.StashKey()  # where it is not this process
RESULTS: pytest.StashKey[list[Results]] = pytest.StashKey()  # of a test: out of files
HEARD: pytest.StashKey[list[tuple[Results, Verdict]]] = pytest.StashKey()  # on these, by the test
REFUSED_CASES: pytest.StashKey[dict[Case, str]] = pytest.StashKey()  # for lack of room, and why
FAMILY: pytest.StashKey[int] = pytest.StashKey()  # tests that may judge a case
JOURNAL: pytest.StashKey[Journal] = pytest.StashKey()
ATTRIBUTE = "quantbench"  # of a test report: what it found of its case, as JSON
RECORDER = "quantbench-recorder"
REFUSED = "quantbench_refused"  # from an xdist worker: why it collected nothing
JOURNAL_INPUT = "quantbench_journal"  # of an xdist worker: where the journal is


def case_of(item: pytest.Item) -> Case | None:
    """The case that the test is parametrized by; None of a test that is not."""
    callspec = getattr(item, "callspec", None)
    case = callspec.params.get("case") if callspec else None
    return case if isinstance(case, Case) else None


def within_reach(config: pytest.Config, work: Callable[[], Any]) -> Any:
    """Do the work; what this machine lacks is a skip, unless `QUANTBENCH_REQUIRE` names it."""
    try:
        return work()
    except OutOfReachError as error:
        if error.requirement in config.stash[SETTINGS].required:
            raise
        return pytest.skip("; ".join(" ".join(line.split()) for line in str(error).splitlines()))


_LONG_S = 10.0  # off a terminal, where lines stay


def progress_of(config: pytest.Config) -> Progress | None:
    """Lines about long work between pytest's dots."""
    terminal = config.stash.get(TERMINAL, None)
    if terminal is None:
        return None
    from quantbench.report.progress import StageLines, TerminalProgress

    if not terminal.isatty():
        return StageLines(lambda line: print(f"\n  {line}", file=terminal), _LONG_S)
    from rich.console import Console

    console = Console(file=terminal, width=config.get_terminal_writer().fullwidth)
    return TerminalProgress(console, lambda: print(file=terminal))
