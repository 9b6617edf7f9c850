"""Keeps what frameworks print while they work away from what a command says."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

_OUT, _ERR = 1, 2
_LOGS: list[IO[str]] = []  # open to the process' end: loggers of frameworks go on writing to them


@contextmanager
def frameworks_quiet() -> Iterator[IO[str]]:
    """In the block, all that is printed goes to a file; gives the standard error from before.

    Native code writes to the descriptors and Python code to `sys.stdout` and `sys.stderr`: both
    are turned. Where the block fails, the file stays and is named on the standard error, unless
    nothing was printed.
    """
    descriptor, name = tempfile.mkstemp(prefix="quantbench-", suffix=".log")
    log = os.fdopen(descriptor, "w", buffering=1, encoding="utf-8", errors="replace")
    _LOGS.append(log)
    with ExitStack() as restored:
        before = sys.stdout, sys.stderr
        for stream in before:
            stream.flush()
        told = _own(sys.stderr, restored)
        for number in (_OUT, _ERR):
            saved = os.dup(number)
            restored.callback(os.close, saved)
            restored.callback(os.dup2, saved, number)
            os.dup2(log.fileno(), number)
        restored.callback(_set_streams, *before)
        _set_streams(log, log)
        try:
            yield told
        except BaseException:
            log.flush()
            if Path(name).stat().st_size:
                click.echo(f"what the frameworks printed: {name}", file=told)
            raise
        Path(name).unlink(missing_ok=True)


def _own(stream: IO[str], restored: ExitStack) -> IO[str]:
    """The stream, or where it writes to a descriptor that is turned, one beside it."""
    try:
        number = stream.fileno()
    except (OSError, ValueError):  # a test's own stream
        return stream
    return restored.enter_context(os.fdopen(os.dup(number), "w", buffering=1, encoding="utf-8"))


def _set_streams(out: IO[str], err: IO[str]) -> None:
    sys.stdout, sys.stderr = out, err
