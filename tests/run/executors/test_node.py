"""What a node says of itself."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import pytest

from quantbench.core.settings import Settings
from quantbench.run.executors.node import Setup, hello

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("cache", ["{folder}", "{folder},memory://team"])
def test_it_works_on_the_folder_that_the_variable_names(
    cache: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("obstore")
    monkeypatch.setenv("QUANTBENCH_CACHE", cache.format(folder=tmp_path))
    setup = Setup(Settings(), (), ".", str(tmp_path), platform.node())
    assert hello(f"run {cache}", lambda: setup, gpus=0).shares
    other = Setup(Settings(), (), ".", str(tmp_path / "other"), platform.node())
    assert not hello(f"other {cache}", lambda: other, gpus=0).shares


def test_without_a_folder_it_is_the_platform_s(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("obstore")
    from quantbench.store.artifacts import default_root

    monkeypatch.setenv("QUANTBENCH_CACHE", "memory://team")
    setup = Setup(Settings(), (), ".", str(default_root()), platform.node())
    assert hello("platform", lambda: setup, gpus=0).shares
