"""Kernel locks: on a key while it is built, on a folder while it is used.

They die with their owner. A key is that of an entry, or the sha256 of a file that is downloaded.
"""

from __future__ import annotations

import os
import shutil
import sys
import weakref
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from quantbench.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def require_locks() -> None:
    """See that this platform has locks on folders.

    Raises:
        StoreError: it has none (Windows).
    """
    try:
        import fcntl  # noqa: F401
    except ImportError as error:
        raise StoreError(
            "the artifact store cannot work on this platform",
            expected="kernel locks on folders (flock), as Linux and macOS have them",
            got=sys.platform,
            remedy="run quantbench on Linux or macOS, or on Windows in WSL",
        ) from error


@contextmanager
def locked(root: Path, key: str, wait_s: float = -1) -> Iterator[None]:
    """Hold the lock of a key; of several processes one has it, and the others wait.

    Args:
        root: of the store.
        key: of an entry.
        wait_s: negative to wait as long as it takes.

    Raises:
        filelock.Timeout: another process still has it.
    """
    from filelock import FileLock

    locks = root / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    with FileLock(locks / f"{key}.lock", timeout=wait_s):
        yield


def sweep(root: Path, *, downloads: bool) -> None:
    """Remove what killed builds left, and `downloads` that stopped; who works on one holds its key.

    A build is a folder `building/<key>.<random>`, a download a file `building/<sha256>.part`. With
    the downloads goes what builds would go on from, files `building/<key>.kept`.
    """
    from filelock import Timeout

    for leftover in (root / "building").glob("*.*"):
        with suppress(Timeout, OSError), locked(root, leftover.name.partition(".")[0], 0):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            elif downloads:
                leftover.unlink()


class Hold:
    """A kernel lock on a folder: shared, it says that the folder is in use.

    It ends with this object, or with the process.
    """

    def __init__(self, descriptor: int) -> None:
        """Take over an open, locked folder."""
        self._descriptor = descriptor
        weakref.finalize(self, os.close, descriptor)

    @classmethod
    def on(cls, place: Path, *, alone: bool = False) -> Hold | None:
        """The lock; None where there is no such folder, or its file system has no such locks.

        Raises:
            BlockingIOError: another process holds it alone, or `alone` is wanted and one holds it.
        """
        import fcntl

        try:
            descriptor = os.open(place, os.O_RDONLY)
        except OSError:
            return None
        hold = cls(descriptor)
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:
            return None
        return hold

    def is_of(self, place: Path) -> bool:
        """Whether the folder still stands there."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), place.stat())
        except OSError:
            return False
