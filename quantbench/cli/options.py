"""What several commands take, and what they are given for it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
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


def session_of(data: Path | None, cache: Path | None) -> Session:
    """A session on all cores; long work is told of on standard error."""
    from quantbench.core.settings import Settings, usable_threads
    from quantbench.run.session import Session

    threads = usable_threads(os.environ)
    return Session(Settings(cache=cache, data=data, threads=threads), _progress())


def _progress() -> Progress:
    """A line that moves on a terminal; elsewhere a line for each stage."""
    from quantbench.report.progress import StageLines, TerminalProgress

    if not sys.stderr.isatty():
        return StageLines(lambda line: click.echo(line, err=True))
    from rich.console import Console

    return TerminalProgress(Console(stderr=True))
