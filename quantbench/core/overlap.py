"""Results of a function, computed a few steps ahead by a second thread."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

_T = TypeVar("_T")
_DEPTH = 4  # results that wait to be taken, and so stay in memory


def ahead(work: Callable[..., _T], arguments: Iterable[tuple[Any, ...]]) -> Generator[_T]:
    """Results of `work(*arguments)` in order, computed by one thread a few steps ahead.

    `arguments` is read by the caller's thread, as results are taken. What `work` raises is raised
    where its result would have come; what is further ahead is dropped then.
    """
    pending: deque[Future[_T]] = deque()
    pool = ThreadPoolExecutor(1)
    try:
        for each in arguments:
            pending.append(pool.submit(work, *each))
            if len(pending) > _DEPTH:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
