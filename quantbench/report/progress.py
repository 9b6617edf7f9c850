"""Progress: on a terminal a line that moves, elsewhere a line for each stage of long work."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SHORT_S = 0.5  # work that is done sooner is not mentioned


class TerminalProgress:
    """Lines under what is printed, gone when the work is done."""

    def __init__(self, console: Any, before: Callable[[], None] = lambda: None) -> None:
        """Take rich's console; `before` is called when lines appear, to leave a line begun."""
        self._console = console
        self._before = before
        self._lock = threading.RLock()
        self._shown: Any = None

    @contextmanager
    def working(self, what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        """Show the work once it takes longer than half a second."""
        done, task, ended = 0, None, False
        began = time.monotonic()

        def show() -> None:
            nonlocal task
            with self._lock:
                if not ended:
                    task = self._started().add_task(what, total=total, completed=done, began=began)

        def advance(n: int) -> None:
            nonlocal done
            done += n
            with self._lock:
                if task is not None:
                    self._shown.update(task, completed=done)

        timer = threading.Timer(_SHORT_S, show)
        timer.daemon = True
        timer.start()
        try:
            yield advance
        finally:
            timer.cancel()
            with self._lock:
                ended = True
                if task is not None:
                    self._shown.remove_task(task)
                    if not self._shown.tasks:
                        self._shown.stop()
                        self._shown = None

    def _started(self) -> Any:
        if self._shown is None:
            from rich.progress import Progress, SpinnerColumn

            self._before()
            self._shown = Progress(
                SpinnerColumn(), _line(), console=self._console, transient=True,
                redirect_stdout=False, redirect_stderr=False,
            )  # fmt: skip
            self._shown.start()
        return self._shown


class StageLines:
    """A line for each stage that takes long, and one when it is done.

    For where nothing can move: a log, a pipe.
    """

    def __init__(self, say: Callable[[str], None], long_s: float = _SHORT_S) -> None:
        """Take what writes a line, and the seconds after which work is long."""
        self._say, self._long_s = say, long_s

    @contextmanager
    def working(self, what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        """Say what begins, of how many parts, and how long it took."""
        began, said = time.monotonic(), threading.Event()

        def begin() -> None:
            said.set()
            self._say(f"{what}{'' if total is None else f', {total} parts'} ...")

        timer = threading.Timer(self._long_s, begin)
        timer.daemon = True
        timer.start()
        try:
            yield lambda _: None
        finally:
            timer.cancel()
            if said.is_set():
                self._say(f"{what}: {_clock(time.monotonic() - began)}")


def _line() -> Any:
    """A column of rich's: what is done, how much of it, how fast, how long still."""
    from rich.progress import ProgressColumn
    from rich.text import Text

    class Line(ProgressColumn):
        def render(self, task: Any) -> Text:
            return Text(f"{task.description}: {_said(task)}", no_wrap=True, overflow="ellipsis")

    return Line()


def _said(task: Any) -> str:
    elapsed = time.monotonic() - task.fields["began"]
    if task.total is None or not task.completed:
        return _clock(elapsed)
    rate = task.completed / elapsed
    left = _clock((task.total - task.completed) / rate)
    return f"{task.completed:.0f} of {task.total:.0f}, {rate:.3g}/s, {left} left"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
