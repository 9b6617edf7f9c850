"""An entry of a store as a message: its manifest and its files, to the byte."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.store.manifests import NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from quantbench.store.artifacts import Artifact, Store


@dataclass(frozen=True)
class Bundle:
    """An entry of a store.

    Attributes:
        kind: of the entry.
        key: of the entry.
        manifest: as it stands in the store.
        files: bytes by name, as arrays: those travel and are read without being copied.
    """

    kind: str
    key: str
    manifest: bytes
    files: Mapping[str, NDArray[np.uint8]]

    @property
    def size_bytes(self) -> int:
        """Of all files."""
        return sum(each.nbytes for each in self.files.values())


def kind_of(entry: Artifact) -> str:
    """The kind of an entry, as the store's folders say it."""
    return entry.path.parents[1].name


def packed(entry: Artifact) -> Bundle:
    """An entry of the store of this machine, ready to travel."""
    place = entry.path.parent
    names = sorted(path for path in entry.path.rglob("*") if path.is_file())
    files = {
        path.relative_to(entry.path).as_posix(): np.fromfile(path, dtype=np.uint8) for path in names
    }
    return Bundle(kind_of(entry), entry.key, (place / NAME).read_bytes(), files)


def land(store: Store, bundle: Bundle) -> Artifact:
    """The entry, verified, in the store of this machine."""
    files: Any = bundle.files  # arrays of bytes are buffers, which their stubs do not say
    views = {name: memoryview(content) for name, content in files.items()}
    return store.land(bundle.kind, bundle.key, bundle.manifest, views)
