"""A team's store behind the local one: a miss reads it, what is built is offered to it.

    <url>/<kind>/<key>/manifest.json             as the local store has it; written last, once
    <url>/<kind>/<key>/<its sha256>/<sha256>     a file of it, under the digest of its bytes

An entry is there when its manifest is. Exclusive create decides whose manifest stands; two writers
never share a file, since each writes under its own manifest's digest. Every byte that comes is
compared with its digest before the local store sees it.

A store that fails is left alone for the rest of the process, with one warning; one that may only
be read is read on. An entry that is known to have the team's bytes is marked, so that a warm local
store asks nobody.
"""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from quantbench.core.digests import digest_of
from quantbench.core.jsons import MALFORMED
from quantbench.errors import CorruptedArtifactWarning, RemoteStoreError, RemoteStoreWarning
from quantbench.store.manifests import NAME, DigestError, check_foreign, read_manifest
from quantbench.store.objects import Objects, Patience

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

_T = TypeVar("_T")


class Answer(Enum):
    """To an entry that is offered."""

    SAME = "the team's store has these bytes"
    OTHER = "it has other bytes of this key, which were first"
    NONE = "it cannot say, or may not be written to"


@dataclass
class Remote:
    """The store at a URL, as one process uses it."""

    url: str
    patience: Patience = field(default_factory=Patience)
    _objects: Objects | None = field(default=None, repr=False)
    _off: bool = field(default=False, repr=False)
    _read_only: bool = field(default=False, repr=False)
    _reported: set[str] = field(default_factory=set, repr=False)

    def fetch(self, kind: str, key: str, work: Path) -> bool:
        """Have the entry in a new folder `work`; False where the store has none that is whole."""
        return self._tried(partial(self._fetch, kind, key, work), otherwise=False)

    def offer(self, kind: str, key: str, folder: Path) -> Answer:
        """Let the store have a finished entry, unless it has one of this key.

        Args:
            kind: of the entry.
            key: of the entry.
            folder: with its manifest and files.
        """
        return self._tried(partial(self._offer, kind, key, folder), otherwise=Answer.NONE)

    def has(self, kind: str, key: str) -> bool:
        """Whether there is an entry of this key, whole or not."""
        return self._tried(lambda: self.objects.has(_manifest_of(kind, key)), otherwise=False)

    def settles(self, folder: Path) -> bool:
        """Whether there is nothing to ask about an entry of the local store."""
        return self._off or (folder / self._mark).exists()

    @property
    def objects(self) -> Objects:
        """Opened when they are first needed.

        Raises:
            RemoteStoreError: they cannot be.
        """
        if self._objects is None:
            self._objects = Objects(self.url, self.patience)
        return self._objects

    @property
    def _mark(self) -> str:
        """A file in the folder of an entry whose bytes are this store's."""
        return f".shared-{digest_of(self.url)[:12]}"

    def _fetch(self, kind: str, key: str, work: Path) -> bool:
        found = self.manifest(kind, key)
        if found is None:
            return False
        manifest, text = found
        (work / "files").mkdir(parents=True)
        for name, expected in manifest["files"].items():
            path = work / "files" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            got = hashlib.sha256()
            with path.open("wb") as file:
                for part in self.parts(kind, key, manifest, expected):
                    got.update(part)
                    file.write(part)
            if got.hexdigest() != expected:
                # What is being removed loses its manifest first.
                if self.objects.has(_manifest_of(kind, key)):
                    self._report(kind, key, name, got.hexdigest(), expected)
                return False
        (work / NAME).write_bytes(text)
        (work / self._mark).touch()
        return True

    def _offer(self, kind: str, key: str, folder: Path) -> Answer:
        if key in self._reported:  # what is damaged there stays until someone removes it
            return Answer.NONE
        text = (folder / NAME).read_bytes()
        mine = read_manifest(text)
        theirs = self.manifest(kind, key)
        if theirs is None:
            if self._uploaded(mine, text, kind, key, folder):
                (folder / self._mark).touch()
                return Answer.SAME
            theirs = self.manifest(kind, key)  # of one who was first, or of a try that was cut
        if theirs is None:
            return Answer.NONE
        if theirs[0]["files"] != mine["files"]:
            return Answer.OTHER
        (folder / self._mark).touch()
        return Answer.SAME

    def _uploaded(
        self, mine: Mapping[str, Any], text: bytes, kind: str, key: str, folder: Path
    ) -> bool:
        """Write an entry; False where another was first, or where that is not allowed."""
        if self._read_only or key in self._reported:
            return False
        try:
            for name, digest in mine["files"].items():
                self.objects.put(_file_of(kind, key, mine, digest), folder / "files" / name)
            return self.objects.create(_manifest_of(kind, key), text)
        except RemoteStoreError as error:
            if not error.denied:
                raise
            self._read_only = True
            self._warn(error, "it is read, but what is built here stays here")
            return False

    def manifest(
        self, kind: str, key: str, *, report: bool = True
    ) -> tuple[dict[str, Any], bytes] | None:
        """That of an entry, checked, and its text; None where there is none or a damaged one.

        Args:
            kind: of the entry.
            key: of the entry.
            report: warn of a damaged one.

        Raises:
            RemoteStoreError: the store fails.
        """
        text = self.objects.get(_manifest_of(kind, key))
        if text is None:
            return None
        try:
            manifest = read_manifest(text)
            check_foreign(manifest, kind, key)
        except MALFORMED as error:
            got, expected = "something else", "a manifest of this key"
            if isinstance(error, DigestError):
                got, expected = error.got, str(error.expected)
            if report:
                self._report(kind, key, NAME, got, expected)
            return None
        return manifest, text

    def parts(
        self, kind: str, key: str, manifest: Mapping[str, Any], digest: str
    ) -> Iterator[bytes]:
        """A file of an entry; what is larger than the whole entry should be is not read.

        Raises:
            RemoteStoreError: the store fails.
        """
        return self.objects.read(_file_of(kind, key, manifest, digest), manifest["size_bytes"])

    def _tried(self, work: Callable[[], _T], *, otherwise: _T) -> _T:
        """What it gives; `otherwise` from when the store fails on."""
        if self._off:
            return otherwise
        try:
            return work()
        except RemoteStoreError as error:
            self._off = True
            self._warn(error, "the run goes on with the local store alone")
            return otherwise

    def _warn(self, error: RemoteStoreError, then: str) -> None:
        text = f"{error.what}: {error.got}; {then}. Next: {error.remedy}"
        warnings.warn(text, RemoteStoreWarning, stacklevel=2)

    def _report(self, kind: str, key: str, what: str, got: str, expected: str) -> None:
        """Once an entry."""
        if key in self._reported:
            return
        self._reported.add(key)
        warnings.warn(
            f"{self.url}/{kind}/{key}: {what} is damaged (expected {expected}, got {got}); it is "
            "not used. Next: quantbench cache verify --remote --remove takes it away",
            CorruptedArtifactWarning,
            stacklevel=2,
        )


def _manifest_of(kind: str, key: str) -> str:
    return f"{kind}/{key}/{NAME}"


def _file_of(kind: str, key: str, manifest: Mapping[str, Any], digest: str) -> str:
    return f"{kind}/{key}/{manifest['sha256']}/{digest}"
