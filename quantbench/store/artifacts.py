"""The content-addressed store: build once under a lock, verify, rename into place.

    <root>/<kind>/<key>/manifest.json     what it is, and the sha256 of every file
    <root>/<kind>/<key>/files/...         the files
    <root>/locks/<key>.lock               held while building (a kernel lock: dies with its owner)
    <root>/building/<key>.<random>/       a build in progress; never read, swept by the next build
    <root>/building/<sha256>.part         a download in progress; the next one goes on from there
    <root>/building/<key>.kept            what a killed build left for the next one, which goes on

A key is the digest of the ingredients. An entry appears by one `rename` after its files and its
manifest are on disk, so a build killed at any moment leaves nothing that is ever served. A process
holds a kernel lock on the folders of the entries it uses: none is collected under it, whatever the
clocks say.

Behind it there may be a store that a team shares (`remote.py`): what is not here is fetched from
there, and what is built here is offered to it before it appears, since of two machines that build
one key the first decides on its bytes for everyone.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
import time
import warnings
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from quantbench.core.digests import digest_of, sha256_of
from quantbench.core.jsons import MALFORMED
from quantbench.errors import (
    CorruptedArtifactWarning,
    IntegrityError,
    RemoteStoreWarning,
    StoreError,
)
from quantbench.store.locks import Hold, locked, require_locks, sweep
from quantbench.store.manifests import (
    NAME,
    DigestError,
    check_foreign,
    key_of,
    read_manifest,
    write_manifest,
)
from quantbench.store.remote import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from quantbench.store.remote import Remote

_HELD = 64  # entries that a process holds, the last used: each costs it a file descriptor


@dataclass(frozen=True)
class Artifact:
    """A verified entry of the store.

    Attributes:
        key: digest of its ingredients, 64 hexadecimal digits.
        path: folder that holds its files.
        sha256: digest of its files' names and contents.
        size_bytes: sum of its files' sizes.
        build_s: seconds that building took, whenever that was.
        details: JSON facts that the builder returned.
        cache: "built" when this call built it, else "hit".
    """

    key: str
    path: Path
    sha256: str
    size_bytes: int
    build_s: float
    details: Mapping[str, Any]
    cache: Literal["hit", "built"] = "hit"


REFUSED = {  # what the operating system says when a cache cannot be written
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "a file grew larger than this process may write (ulimit -f)",
    errno.EIO: "the disk reports an error",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "no permission to write",
    errno.ENOTDIR: "it is no folder",
    errno.EEXIST: "it is no folder",
}
_FULL = {errno.ENOSPC, errno.EDQUOT}


@dataclass
class Store:
    """A folder of artifacts shared by any number of processes, and a team's store behind it."""

    root: Path
    remote: Remote | None = None
    _verified: dict[str, Artifact] = field(default_factory=dict, repr=False)
    _holds: dict[str, Hold] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Refuse a platform that cannot share it."""
        require_locks()

    def get(
        self,
        kind: str,
        ingredients: Mapping[str, Any],
        build: Callable[[Path], Mapping[str, Any] | None],
    ) -> Artifact:
        """The artifact of these ingredients; `build(folder)` makes it if no verified one exists.

        A file that no longer matches its digest is reported (`CorruptedArtifactWarning`) and the
        entry is built again. Of several processes asking for one key, one builds and the others
        wait.

        Raises:
            StoreError: the folder cannot be written, or the disk is full.
        """
        key = key_of(kind, ingredients)
        place = self.root / kind / key
        with self._explained(place):
            found = self._taken(key, place)
            if found is None or not self._is_settled(key, place):
                with locked(self.root, key):
                    # Another process may have built it while this one waited.
                    found = self._taken(key, place)
                    if found is None:
                        found = self._made(kind, key, ingredients, build)
                    elif not self._is_settled(key, place):
                        found = self._settled(kind, key, found)
        self._verified[key] = replace(found, cache="hit")
        _used_now(place)
        return found

    def find(self, kind: str, key: str) -> Artifact | None:
        """The entry of this key if it is there and whole, here or in the team's store."""
        place = self.root / kind / key
        found = self._taken(key, place)
        if found is None and self.remote is not None:
            with self._explained(place), locked(self.root, key), self._working(key) as work:
                found = self._taken(key, place)
                if found is None and (theirs := self._fetched(kind, key, work)) is not None:
                    found = self._put_in_place(theirs, place)
        if found is not None:
            if self.remote is None:
                self._verified[key] = found
            _used_now(place)
        return found

    def land(
        self, kind: str, key: str, manifest: bytes, files: Mapping[str, bytes | memoryview]
    ) -> Artifact:
        """Take in an entry that another store has built; one that is here already stays.

        It is offered to the team as if it had been built here.

        Args:
            kind: of the entry.
            key: of the entry.
            manifest: of the other store, to the byte.
            files: contents by the names that it lists.

        Raises:
            IntegrityError: it is not what its key and its manifest say.
            StoreError: the folder cannot be written.
        """
        place = self.root / kind / key
        with self._explained(place), locked(self.root, key):
            if (found := self._taken(key, place)) is not None:
                return found
            _check_landing(kind, key, manifest, files)
            with self._working(key) as work:
                (work / "files").mkdir()
                for name, content in files.items():
                    path = work / "files" / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)
                (work / NAME).write_bytes(manifest)
                return self._first(kind, key, work)

    def kept(self, kind: str, ingredients: Mapping[str, Any]) -> Path:
        """A file for what the next build of these ingredients shall find if this one is killed.

        It is removed when there is such an entry, and by `sweep(downloads=True)`.
        """
        return self.root / "building" / f"{key_of(kind, ingredients)}.kept"

    def is_whole(self, kind: str, key: str) -> bool:
        """Whether its files are what was built; looking is not using."""
        return self._open(key, self.root / kind / key) is not None

    def has(self, kind: str, ingredients: Mapping[str, Any]) -> bool:
        """Whether there is an entry of these ingredients, whole or not, here or with the team."""
        key = key_of(kind, ingredients)
        if (self.root / kind / key / NAME).exists():
            return True
        return self.remote is not None and self.remote.has(kind, key)

    def remove(self, kind: str, key: str, unused_since_s: float | None = None) -> bool:
        """Take an entry away, as one step for whoever looks for it.

        Args:
            kind: of the entry.
            key: of the entry.
            unused_since_s: leave it and return False where it was used later, in seconds since
                the epoch, or is in use by a process that lives. One used in the future, by a
                clock that was wrong, counts as used now from here on.

        Raises:
            StoreError: the folder cannot be written.
        """
        place = self.root / kind / key
        with self._explained(place), locked(self.root, key):
            try:
                used_s = (place / NAME).stat().st_mtime
            except FileNotFoundError:
                return False
            if unused_since_s is None:
                self._take_away(key, place)
                return True
            if used_s > time.time():
                _used_now(place)
            if used_s > unused_since_s:
                return False
            try:
                alone = Hold.on(place, alone=True)
            except BlockingIOError:
                return False
            self._take_away(key, place)
            del alone  # held until here
        return True

    def _take_away(self, key: str, place: Path) -> None:
        (self.root / "building").mkdir(parents=True, exist_ok=True)
        gone = Path(tempfile.mkdtemp(prefix=f"{key}.", dir=self.root / "building"))
        place.rename(gone / "removed")
        shutil.rmtree(gone, ignore_errors=True)

    def sweep(self, *, downloads: bool = False) -> None:
        """Remove what killed builds left, and `downloads` that stopped, which would go on there."""
        sweep(self.root, downloads=downloads)

    def _taken(self, key: str, place: Path) -> Artifact | None:
        """The entry if it is whole, held from here on; what is being removed counts as absent."""
        hold = self._holds.pop(key, None)
        if hold is None or not hold.is_of(place):
            try:
                hold = Hold.on(place)  # before it is opened: it cannot be removed in between
            except BlockingIOError:
                return None
        found = self._open(key, place, self._verified.get(key))
        if found is None or hold is None:
            return found
        if not hold.is_of(place):  # removed and built anew meanwhile
            return None
        self._holds[key] = hold
        if len(self._holds) > _HELD:
            del self._holds[next(iter(self._holds))]
        return found

    def _open(self, key: str, place: Path, known: Artifact | None = None) -> Artifact | None:
        """The entry if it is whole; a damaged one is warned about and counts as absent.

        The files of one that is `known`, because this process opened it before, are not read again
        while its manifest lists the same.
        """
        try:
            manifest = read_manifest((place / NAME).read_bytes())
        except FileNotFoundError:
            return None
        except DigestError as error:
            _warn_damaged(place / NAME, error.expected, error.got)
            return None
        except (ValueError, RecursionError, IsADirectoryError):
            _warn_damaged(place / NAME, "readable JSON", "something else")
            return None
        if known is not None and known.sha256 == digest_of(manifest["files"]):
            return known
        files = place / "files"
        for name, expected in manifest["files"].items():
            got = sha256_of(files / name) if (files / name).is_file() else "no such file"
            if got != expected:
                _warn_damaged(files / name, expected, got)
                return None
        return Artifact(
            key=key,
            path=files,
            sha256=digest_of(manifest["files"]),
            size_bytes=manifest["size_bytes"],
            build_s=manifest["build_s"],
            details=manifest["details"],
        )

    def _made(
        self,
        kind: str,
        key: str,
        ingredients: Mapping[str, Any],
        build: Callable[[Path], Mapping[str, Any] | None],
    ) -> Artifact:
        """The team's entry, or one that is built; where the team's was first, its bytes."""
        place = self.root / kind / key
        with self._working(key) as work:
            if (theirs := self._fetched(kind, key, work)) is not None:
                return self._put_in_place(theirs, place)
            (work / "files").mkdir()
            started = time.perf_counter()
            details = build(work / "files") or {}
            write_manifest(work, ingredients, details, time.perf_counter() - started)
            return self._first(kind, key, work)

    def _first(self, kind: str, key: str, work: Path) -> Artifact:
        """Put what was made in a working folder in its place; the team's, if that was first."""
        place = self.root / kind / key
        if (
            self.remote is not None
            and self.remote.offer(kind, key, work) is Answer.OTHER
            and (theirs := self._fetched(kind, key, work)) is not None
        ):
            return self._put_in_place(theirs, place)
        return replace(self._put_in_place(work, place), cache="built")

    def _fetched(self, kind: str, key: str, work: Path) -> Path | None:
        """The team's entry, in a folder inside of a working one; None where they have none."""
        theirs = work / "theirs"
        if self.remote is not None and self.remote.fetch(kind, key, theirs):
            return theirs
        shutil.rmtree(theirs, ignore_errors=True)  # what came before the store failed
        return None

    def _is_settled(self, key: str, place: Path) -> bool:
        """Whether the team's store need not be asked about an entry that is here."""
        if self.remote is None or key in self._verified or self.remote.settles(place):
            return True
        return not os.access(place, os.W_OK)  # a cache that is read alone

    def _settled(self, kind: str, key: str, found: Artifact) -> Artifact:
        """An entry of before, offered to the team; where theirs was first, their bytes instead."""
        place = self.root / kind / key
        if self.remote is None or self.remote.offer(kind, key, place) is not Answer.OTHER:
            return found
        with self._working(key) as work:
            if (theirs := self._fetched(kind, key, work)) is None:
                return found
            self._holds.pop(key, None)
            try:
                alone = Hold.on(place, alone=True)
            except BlockingIOError:
                warnings.warn(
                    f"{place} has other bytes than the team's store, and a running process uses "
                    "it: it is used once more, and the next run takes the team's",
                    RemoteStoreWarning,
                    stacklevel=3,
                )
                return found
            self._take_away(key, place)
            del alone  # held until here
            return self._put_in_place(theirs, place)

    @contextmanager
    def _working(self, key: str) -> Iterator[Path]:
        """A folder to make an entry in, `building/<key>.<random>`; we hold its lock."""
        building = self.root / "building"
        building.mkdir(parents=True, exist_ok=True)
        for leftover in building.glob(f"{key}.*"):  # of a killed build
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
        work = Path(tempfile.mkdtemp(prefix=f"{key}.", dir=building))
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _put_in_place(self, work: Path, place: Path) -> Artifact:
        """Rename a folder of files and a manifest, once all are on disk; we hold its lock."""
        for path in sorted(work.rglob("*")):
            if path.is_file():
                _to_disk(path)
        if place.exists():  # damaged, or it would have been served
            shutil.rmtree(place)
        place.parent.mkdir(parents=True, exist_ok=True)
        work.rename(place)
        (self.root / "building" / f"{place.name}.kept").unlink(missing_ok=True)
        put = self._taken(place.name, place)
        if put is None:
            raise StoreError("a file changed right after it was written", where=place)
        return put

    @contextmanager
    def _explained(self, place: Path) -> Iterator[None]:
        """Name the cache folder in what the operating system refuses."""
        try:
            yield
        except Exception as error:
            code, named = _refusal(error)
            inside = named is not None and self.root in named.parents
            # A file elsewhere that may not be read is no matter of the cache.
            known = code in REFUSED and (named is None or code != errno.EACCES)
            if code is None or not (inside or known):
                raise
            raise StoreError(
                f"cannot write to the cache: {REFUSED.get(code) or os.strerror(code)}",
                where=named or place,
                remedy=f"{'free space there' if code in _FULL else 'mend that'}, "
                "or name another folder with --quant-cache DIR",
            ) from error


def default_root() -> Path:
    """The platform's cache directory for quantbench."""
    from platformdirs import user_cache_path

    return user_cache_path("quantbench")


def _check_landing(
    kind: str, key: str, manifest: bytes, files: Mapping[str, bytes | memoryview]
) -> None:
    """See that an entry from elsewhere is what it says, before any of it is written."""
    try:
        told = read_manifest(manifest)
        check_foreign(told, kind, key)
    except MALFORMED as error:
        raise IntegrityError(
            "an entry came with a manifest that is not its own", where=f"{kind}/{key}", got=error
        ) from error
    if {name: hashlib.sha256(content).hexdigest() for name, content in files.items()} != told[
        "files"
    ]:
        raise IntegrityError(
            "the files of an entry are not those of its manifest", where=f"{kind}/{key}"
        )


def _refusal(error: Exception) -> tuple[int | None, Path | None]:
    """What the operating system refused, and where; tools tell of a full disk in their words."""
    if isinstance(error, OSError):
        named = isinstance(error.filename, str | os.PathLike)
        return error.errno, Path(error.filename) if named else None
    return (errno.ENOSPC if os.strerror(errno.ENOSPC) in str(error) else None), None


def _used_now(place: Path) -> None:
    """What `quantbench cache gc` goes by."""
    with suppress(OSError):  # a cache that is read alone
        os.utime(place / NAME)


def _warn_damaged(path: Path, expected: object, got: object) -> None:
    warnings.warn(
        f"{path} is damaged (expected {expected}, got {got}); it is built again",
        CorruptedArtifactWarning,
        stacklevel=4,
    )


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
