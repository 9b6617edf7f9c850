"""From what was asked for to an open store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantbench.store.artifacts import Store, default_root
from quantbench.store.remote import Remote

if TYPE_CHECKING:
    from pathlib import Path


def open_store(folder: Path | None, remote: str | None) -> Store:
    """The store of a folder (None: the platform's), with the team's behind it at a URL."""
    return Store(folder or default_root(), None if remote is None else Remote(remote))
