"""How far long work has come; a silent one where nobody watches."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager


Step = Callable[[str, int], Callable[[int], None]]  # told what is next, and of how many parts


class Progress(Protocol):
    """Told what is being done."""

    def working(
        self, what: str, total: int | None = None
    ) -> AbstractContextManager[Callable[[int], None]]:
        """For the time of the work; of `total` items, the call that is lent says how many more."""


class Steps:
    """Long work of several steps, each with a line of its own; made for a `with` block."""

    def __init__(self, progress: Progress, what: str) -> None:
        """Begin nothing yet."""
        self._progress, self._what, self._shown = progress, what, ExitStack()

    def __enter__(self) -> Step:
        """Called with a step's name and its number of parts, gives the call for each part."""
        return self._next

    def __exit__(self, *raised: object) -> None:
        """End the last step."""
        self._shown.close()

    def _next(self, name: str, parts: int) -> Callable[[int], None]:
        self._shown.close()
        return self._shown.enter_context(self._progress.working(f"{self._what}: {name}", parts))


class Silent:
    """Shows nothing."""

    @contextmanager
    def working(self, what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        """Let the work go on unseen."""
        del what, total
        yield lambda _: None
