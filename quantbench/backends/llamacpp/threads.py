"""Threads in which llama.cpp computes, and nothing else does.

Its AMX kernels load the processor's tile configuration once a thread and believe that it stays.
oneDNN, by which torch multiplies bfloat16, loads its own and releases it: in a thread that both
use, llama.cpp's next tile instruction ends the process (SIGILL), or multiplies by another shape.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")
_this = threading.local()


def own_threads(n: int) -> ThreadPoolExecutor:
    """A pool of so many threads of llama.cpp's own."""
    return ThreadPoolExecutor(n, thread_name_prefix="llama.cpp", initializer=_mark)


def in_own_thread(work: Callable[[], _T]) -> _T:
    """Do the work in a thread of llama.cpp's own: this one, if it is one."""
    if getattr(_this, "own", False):
        return work()
    return _single().submit(work).result()


@cache  # of the process
def _single() -> ThreadPoolExecutor:
    return own_threads(1)


def _mark() -> None:
    _this.own = True
