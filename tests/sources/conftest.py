"""Where files from outside go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As the store makes it: `building/KEY/files`."""
    made = tmp_path / "building/key/files"
    made.mkdir(parents=True)
    return made
