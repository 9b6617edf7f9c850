"""How far long work has come; a silent one where nobody watches."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager


class Progress(Protocol):
    """Told what is being done."""

    def working(
        self, what: str, total: int | None = None
    ) -> AbstractContextManager[Callable[[int], None]]:
        """For the time of the work; of `total` items, the call that is lent says how many more."""


class Silent:
    """Shows nothing."""

    @contextmanager
    def working(self, what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        """Let the work go on unseen."""
        del what, total
        yield lambda _: None
