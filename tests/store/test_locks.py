"""Locks of the kernel: what a platform without them is told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from quantbench.store.locks import Hold, locked

WINDOWS = """
import sys
from pathlib import Path

sys.modules["fcntl"], sys.platform = None, "win32"
import quantbench
from quantbench.errors import StoreError
from quantbench.store.artifacts import Store

try:
    Store(Path("cache"))
except StoreError as error:
    print(error)
"""


def test_a_platform_without_locks_is_told_where_to_run(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WINDOWS],
        cwd=tmp_path, env={"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines()[0] == "the artifact store cannot work on this platform"
    assert "got:      win32" in done.stdout
    assert "next:     run quantbench on Linux or macOS, or on Windows in WSL" in done.stdout


def test_a_folder_is_held_by_many_or_by_one_alone(tmp_path: Path) -> None:
    first, second = Hold.on(tmp_path), Hold.on(tmp_path)
    assert first is not None
    assert first.is_of(tmp_path)
    with pytest.raises(BlockingIOError):
        Hold.on(tmp_path, alone=True)
    del first, second
    alone = Hold.on(tmp_path, alone=True)
    assert alone is not None
    with pytest.raises(BlockingIOError):
        Hold.on(tmp_path)
    assert Hold.on(tmp_path / "nothing") is None


def test_a_key_that_another_has_is_not_waited_for_when_nobody_wants_to(tmp_path: Path) -> None:
    with locked(tmp_path, "key"), pytest.raises(TimeoutError), locked(tmp_path, "key", 0):
        pass
