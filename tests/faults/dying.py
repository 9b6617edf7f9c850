"""A process that dies at a chosen step, without a process.

What a process does to a file system is a row of calls to the operating system. Where one of them
and all after it do not happen, the folder looks as after a SIGKILL at that moment, and `finally`
cannot tidy up; kernel locks are let go, as of the dead.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CALLS = ("mkdir", "rename", "unlink", "rmdir", "fsync", "utime")


class Killed(BaseException):
    """The process is no more."""


class Steps:
    """Counts down to the death; `taken` is how many were done."""

    def __init__(self, last: int | None) -> None:
        self.last = last
        self.taken = 0

    def step(self) -> None:
        """One more, or the end."""
        if self.last is not None and self.taken >= self.last:
            raise Killed
        self.taken += 1


@contextmanager
def dying(last: int | None) -> Iterator[Steps]:
    """After so many steps the process is dead; None: it lives and its steps are counted."""
    steps = Steps(last)

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def do(*arguments: Any, **named: Any) -> Any:
            steps.step()
            return call(*arguments, **named)

        return do

    with ExitStack() as patched:
        for name in _CALLS:
            patched.enter_context(mock.patch.object(os, name, counted(getattr(os, name))))
        yield steps
