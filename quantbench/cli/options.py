"""What several commands take, and what they are given for it."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from quantbench.cli.quiet import frameworks_quiet
from quantbench.core.places import Place, parse_place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quantbench.core.progress import Progress
    from quantbench.run.session import Session
    from quantbench.store.artifacts import Store


class _Place(click.ParamType[Place]):
    """A folder, the URL of a team's store, or both."""

    name = "DIR|URL|DIR,URL"

    def convert(self, value: Any, _param: Any, _context: Any) -> Place:
        return value if isinstance(value, Place) else parse_place(value)


FILE = click.Path(path_type=Path, dir_okay=False)
CACHE = click.option(
    "--quant-cache",
    type=_Place(),
    default=Place(),
    envvar="QUANTBENCH_CACHE",
    help="Folder of the artifact store (default: the platform's cache directory), and the store "
    "that a team shares, e.g. s3://bucket/prefix.",
)
DATA = click.option(
    "--quant-data",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    envvar="QUANTBENCH_DATA",
    help="Folder with data that cannot be shipped.",
)


def store_of(place: Place) -> Store:
    """The store of this place, or the platform's own."""
    from quantbench.store.opening import open_store

    return open_store(place.folder, place.remote)


@contextmanager
def quiet_session(data: Path | None, cache: Place) -> Iterator[Session]:
    """A session that is closed at the end; what frameworks print in the block is not shown."""
    with frameworks_quiet() as told:
        session = session_of(data, cache, told)
        try:
            yield session
        finally:
            session.close()


def session_of(data: Path | None, cache: Place, told: IO[str] | None = None) -> Session:
    """A session on all cores; long work is told of on standard error, or where `told` writes."""
    from quantbench.core.settings import Settings, usable_threads
    from quantbench.run.session import Session

    threads = usable_threads(os.environ)
    settings = Settings(cache=cache.folder, remote=cache.remote, data=data, threads=threads)
    return Session(settings, _progress(told or sys.stderr))


def _progress(told: IO[str]) -> Progress:
    """A line that moves on a terminal; elsewhere a line for each stage."""
    from quantbench.report.progress import StageLines, TerminalProgress

    if not told.isatty():
        return StageLines(lambda line: click.echo(line, file=told))
    from rich.console import Console

    return TerminalProgress(Console(file=told))
