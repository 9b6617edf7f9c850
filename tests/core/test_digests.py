"""A file is read once a process, and again when it may have changed."""

from __future__ import annotations

import hashlib
import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from quantbench.core.digests import sha256_of, sha256_once, verify
from quantbench.errors import IntegrityError

if TYPE_CHECKING:
    from pathlib import Path

DAY_S = 86_400


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were read, in order."""
    names: list[str] = []
    real = hashlib.file_digest

    def watched(file: Any, kind: str) -> Any:
        names.append(file.name)
        return real(file, kind)

    monkeypatch.setattr(hashlib, "file_digest", watched)
    return names


def write(path: Path, content: bytes, age_s: float = DAY_S) -> None:
    path.write_bytes(content)
    os.utime(path, (time.time() - age_s,) * 2)


def test_what_has_not_changed_is_read_once(tmp_path: Path, read: list[str]) -> None:
    path = tmp_path / "texts"
    write(path, b"one")
    assert {sha256_once(path) for _ in range(3)} == {hashlib.sha256(b"one").hexdigest()}
    verify(path, sha256_once(path), "texts")
    assert len(read) == 1


@pytest.mark.parametrize("content", [b"two", b"three"])
@pytest.mark.parametrize("age_s", [0, DAY_S, 2 * DAY_S])
def test_what_has_changed_is_read_again(tmp_path: Path, content: bytes, age_s: float) -> None:
    path = tmp_path / "texts"
    write(path, b"one")
    sha256_once(path)
    write(path, content, age_s)
    assert sha256_once(path) == sha256_of(path)


def test_another_file_of_the_same_size_and_time_is_read(tmp_path: Path) -> None:
    path, other = tmp_path / "texts", tmp_path / "other"
    write(path, b"one")
    write(other, b"two")
    at_ns = path.stat().st_mtime_ns
    os.utime(other, ns=(at_ns, at_ns))
    sha256_once(path)
    other.replace(path)
    assert sha256_once(path) == sha256_of(path)


def test_what_was_written_a_moment_ago_is_not_trusted_to_stay(tmp_path: Path) -> None:
    """A clock tick of the file system may be longer than two writes are apart."""
    path = tmp_path / "texts"
    for i in range(50):
        path.write_bytes(b"%02d" % i)
        assert sha256_once(path) == sha256_of(path)


def test_a_pinned_file_that_changes_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "texts"
    write(path, b"one")
    verify(path, sha256_of(path), "texts")
    pinned = sha256_of(path)
    write(path, b"two")
    with pytest.raises(IntegrityError, match="is not the pinned file"):
        verify(path, pinned, "texts")
