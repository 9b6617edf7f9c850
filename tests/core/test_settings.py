"""What a run was asked for stays what it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantbench.core.settings import parse_settings

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_folders_stay_where_they_are_when_the_working_directory_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "accepted.json").touch()
    monkeypatch.chdir(tmp_path)
    given = {"data": "data", "cache": "cache", "baseline": "accepted.json"}
    asked = parse_settings(given, {}, {})
    assert asked.data == tmp_path / "data"
    assert asked.cache == tmp_path / "cache"
    assert asked.baseline == tmp_path / "accepted.json"
