"""sha256 of files and of JSON values: what makes the store's keys."""

from __future__ import annotations

import hashlib
import json
import re
import time
from functools import cache
from typing import TYPE_CHECKING, Any

from quantbench.errors import IntegrityError

if TYPE_CHECKING:
    from pathlib import Path

_SETTLED_S = 2  # the coarsest clock of a file system: what is younger may change unnoticed


def digest_of(value: Any) -> str:
    """sha256 of a JSON value in canonical form (sorted keys, no spaces, no NaN)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def as_digest(text: Any) -> str:
    """A digest that a file names: digits alone, so that no key of the store leads out of it.

    Raises:
        ValueError: it is something else.
    """
    if not isinstance(text, str) or not re.fullmatch("[0-9a-f]+", text):
        raise ValueError(f"{str(text)[:80]!r} is no digest")
    return text


def sha256_of(path: Path) -> str:
    """sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_once(path: Path) -> str:
    """sha256 of a file's bytes, read once a process while its size, times and inode stay."""
    seen = path.stat()
    if time.time() - seen.st_mtime < _SETTLED_S:
        return sha256_of(path)
    times_ns = seen.st_mtime_ns, seen.st_ctime_ns
    return _sha256_of(path, (seen.st_size, *times_ns, seen.st_dev, seen.st_ino))


@cache
def _sha256_of(path: Path, _seen: tuple[int, ...]) -> str:
    return sha256_of(path)


def verify(path: Path, sha256: str, name: str) -> None:
    """Check a file against its pinned digest.

    Raises:
        IntegrityError: they differ.
    """
    got = sha256_once(path)
    if got != sha256:
        raise IntegrityError(
            f"{name} is not the pinned file",
            where=path,
            expected=f"sha256 {sha256}",
            got=f"sha256 {got} ({path.stat().st_size} bytes)",
            remedy="do not use it; fetch again, or correct the pin if the change is meant",
        )
