"""What several commands take, and what they are given for it."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from quantbench.cli.quiet import frameworks_quiet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quantbench.core.progress import Progress
    from quantbench.run.session import Session
    from quantbench.store.artifacts import Store

FILE = click.Path(path_type=Path, dir_okay=False)
CACHE = click.option(
    "--quant-cache",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="QUANTBENCH_CACHE",
    help="Folder of the artifact store; default: the platform's cache directory.",
)
DATA = click.option(
    "--quant-data",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    envvar="QUANTBENCH_DATA",
    help="Folder with data that cannot be shipped.",
)


def store_of(folder: Path | None) -> Store:
    """The store of this folder, or the platform's own."""
    from quantbench.store.artifacts import Store, default_root

    return Store(folder or default_root())


@contextmanager
def quiet_session(data: Path | None, cache: Path | None) -> Iterator[Session]:
    """A session that is closed at the end; what frameworks print in the block is not shown."""
    with frameworks_quiet() as told:
        session = session_of(data, cache, told)
        try:
            yield session
        finally:
            session.close()


def session_of(data: Path | None, cache: Path | None, told: IO[str] | None = None) -> Session:
    """A session on all cores; long work is told of on standard error, or where `told` writes."""
    from quantbench.core.settings import Settings, usable_threads
    from quantbench.run.session import Session

    threads = usable_threads(os.environ)
    settings = Settings(cache=cache, data=data, threads=threads)
    return Session(settings, _progress(told or sys.stderr))


def _progress(told: IO[str]) -> Progress:
    """A line that moves on a terminal; elsewhere a line for each stage."""
    from quantbench.report.progress import StageLines, TerminalProgress

    if not told.isatty():
        return StageLines(lambda line: click.echo(line, file=told))
    from rich.console import Console

    return TerminalProgress(Console(file=told))
