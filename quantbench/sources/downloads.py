"""Single files from web servers: pinned, resumed where they stopped, verified."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from filelock import FileLock

from quantbench.core.digests import verify
from quantbench.errors import IntegrityError
from quantbench.sources.archives import unzip
from quantbench.sources.transfers import Patience, transfer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Download:
    """One file, or the members of one zip archive.

    Attributes:
        url: http or https; either way it is the digest that is trusted.
        sha256: of the file.
        files: members of an archive whose name ends in `.zip`, or () for all.
        patience: how long the server is waited for; no part of the file's identity.
    """

    url: str
    sha256: str
    files: tuple[str, ...] = ()
    patience: Patience = field(default=Patience(), compare=False)

    def ingredients(self) -> Mapping[str, Any]:
        """The digest and the members; the same bytes from elsewhere are the same file."""
        return {"sha256": self.sha256, "files": list(self.files), "name": self._name}

    def fetch(self, folder: Path) -> None:
        """Download, check the digest, unpack.

        A download that stops stays beside the store's building folders and goes on from there.

        Raises:
            FetchError: the server did not answer, or stopped before the end.
            IntegrityError: the file has another digest, lacks a member, or is no safe archive.
        """
        with self.at_hand(folder):
            self.unpack(folder)

    @contextmanager
    def at_hand(self, folder: Path) -> Iterator[None]:
        """Have the whole, verified file beside `folder`, and for oneself until it is unpacked.

        Others may want it for other members, which is another key, and `cache gc` takes what
        nobody has. Raises as `fetch`.
        """
        partial = self._partial(folder)
        locks = folder.parents[2] / "locks"
        locks.mkdir(exist_ok=True)
        with FileLock(locks / f"{self.sha256}.lock"):
            transfer(self.url, partial, self.patience)
            try:
                verify(partial, self.sha256, self.url)
            except IntegrityError:
                partial.unlink()
                raise
            yield

    def unpack(self, folder: Path) -> None:
        """Put the file, or the archive's members, into `folder`; raises as `fetch`."""
        partial = self._partial(folder)
        if self._name.endswith(".zip"):
            unzip(partial, self.url, folder, self.files)
            partial.unlink()
        elif (folder / self._name).exists():
            raise IntegrityError(f"two downloads of one source are named {self._name}")
        else:
            shutil.move(partial, folder / self._name)

    @property
    def _name(self) -> str:
        return urlsplit(self.url).path.rpartition("/")[2]

    def _partial(self, folder: Path) -> Path:
        return folder.parents[1] / f"{self.sha256}.part"
