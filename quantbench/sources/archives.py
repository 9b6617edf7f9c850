"""Files out of archives: the ones that were asked for, into a folder, at a size that is bounded.

An archive's digest is checked before, so it holds what its study pinned; that alone does not make
it harmless. Links, devices, paths that leave the folder, names that stand twice and archives that
unpack to far more than they weigh are refused.
"""

from __future__ import annotations

import gzip
import shutil
import stat
import tarfile
import zipfile
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from quantbench.core.jsons import MALFORMED
from quantbench.errors import IntegrityError
from quantbench.sources.names import inner_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_FOLD = 200  # what packed weights and annotations never reach; zeros do (1,000)
_FLOOR_BYTES = 64 << 20
_AT_ONCE_BYTES = 1 << 20  # headers are read whole; members in far smaller pieces
_BROKEN = (
    *(*MALFORMED, EOFError, RuntimeError, zlib.error),
    *(zipfile.BadZipFile, zipfile.LargeZipFile, tarfile.TarError, gzip.BadGzipFile),
)


def most_bytes(path: Path) -> int:
    """What an archive of this file's size may unpack to."""
    return _FLOOR_BYTES + _FOLD * path.stat().st_size


def unzip(path: Path, what: str, folder: Path, files: Sequence[str] = ()) -> None:
    """Unpack members of a zip archive, or all if none is named, below `folder`.

    Raises:
        IntegrityError: a member is missing, or the archive is broken or hostile; `what` names it.
    """
    with _explained(what), zipfile.ZipFile(path) as archive:
        known = {info.filename: info for info in archive.infolist()}
        _check_all_there(what, files, known)
        if len(known) < len(archive.infolist()):
            raise ValueError("a name stands in it twice")
        wanted = [known[name] for name in files or known]
        for info in wanted:
            inner_path(info.filename)
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
                raise ValueError(f"{info.filename} is no plain file")
            if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
                raise ValueError(f"{info.filename} is packed in an unusual way")
        _check_size(sum(info.file_size for info in wanted), path)
        for info in wanted:  # never more than the declared bytes; zipfile checks their CRC
            if (folder / info.filename).is_file():
                raise ValueError(f"{info.filename} is there already")
            archive.extract(info, folder)


def untar(path: Path, what: str, folder: Path, files: Sequence[str]) -> None:
    """Unpack members of a `.tgz` by their names into `folder`, flat.

    Raises:
        IntegrityError: a member is missing, or the archive is broken or hostile; `what` names it.
    """
    with _explained(what), gzip.open(path) as packed:
        bounded: Any = _Bounded(packed, path)
        with tarfile.open(fileobj=bounded, mode="r:") as archive:
            known: dict[str, tarfile.TarInfo] = {}
            for member in archive:
                if member.size < 0:  # the reader would go round in circles
                    raise ValueError(f"{member.name} has a size of {member.size}")
                if member.name in files and member.name in known:
                    raise ValueError(f"{member.name} stands in it twice")
                known[member.name] = member
            _check_all_there(what, files, {name for name in known if known[name].isreg()})
            for name in files:
                unpacked = archive.extractfile(known[name])
                target = folder / inner_path(name.rpartition("/")[2])
                if unpacked is None or target.exists():
                    raise ValueError(f"{name} is there already")
                with unpacked, target.open("wb") as file:
                    shutil.copyfileobj(unpacked, file)


class _Bounded:
    """What a gzip file unpacks to, as far as it may: a tar reader believes every size it reads."""

    def __init__(self, packed: gzip.GzipFile, path: Path) -> None:
        self._packed, self._path = packed, path
        self.tell = packed.tell

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _AT_ONCE_BYTES:
            raise ValueError(f"a header of {size} bytes")
        _check_size(self.tell() + size, self._path)
        return self._packed.read(size)

    def seek(self, to: int, whence: int = 0) -> int:
        if to < 0:
            raise ValueError(f"a member before the beginning, at {to}")
        _check_size(to, self._path)
        return self._packed.seek(to, whence)


def _check_size(size: int, path: Path) -> None:
    if size > most_bytes(path):
        raise ValueError(
            f"{path.stat().st_size:,} bytes that unpack to {size:,} or more: an archive bomb"
        )


def _check_all_there(what: str, files: Sequence[str], known: Any) -> None:
    if missing := set(files) - set(known):
        raise IntegrityError(
            f"{what} holds no file {min(missing).removeprefix('package/')}",
            got=f"{len(known)} other files",
            remedy="correct the source's file=",
        )


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        raise IntegrityError(
            f"{what} is not unpacked",
            expected="an archive of plain files, each once, below its folder",
            got=f"{type(error).__name__}: {error}",
            remedy="do not use it: pin another version, and tell whoever made this one",
        ) from error
