"""What others take of the processors is the kernel's account less our own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from quantbench.measure.energy.load import CpuTimes, cpu_times, load_by_others

if TYPE_CHECKING:
    from pathlib import Path


def proc(root: Path, stat: str, own: str) -> CpuTimes | None:
    (root / "self").mkdir(exist_ok=True)
    (root / "stat").write_text(f"cpu  {stat}\ncpu0 1 2 3 4 5 6 7 8 9 10\n")
    (root / "self" / "stat").write_text(f"7 (a ) name) R 1 1 1 0 -1 0 0 0 0 0 {own} 20 0 1\n")
    return cpu_times(root)


def test_the_kernel_s_accounts_are_read_by_their_places(tmp_path: Path) -> None:
    """user nice system idle iowait irq softirq steal guest guest_nice."""
    before = proc(tmp_path, "100 0 50 800 50 0 0 0 100 0", "60 10 5 0")
    assert before == CpuTimes(1000, 150, 75)  # guests are in user already
    after = proc(tmp_path, "160 0 90 1500 100 0 0 50 120 0", "90 20 5 0")
    # 150 of 900 ticks busy, 40 of them ours
    assert load_by_others(before, after) == pytest.approx(110 / 900)


def test_where_nothing_is_known_nothing_is_said(tmp_path: Path) -> None:
    assert cpu_times(tmp_path) is None
    assert load_by_others(None, CpuTimes(1000, 0, 0)) is None
    assert load_by_others(CpuTimes(0, 0, 0), CpuTimes(1, 1, 0)) is None  # too short to say


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_our_own_work_is_not_others_and_a_neighbour_s_is() -> None:
    def after(seconds: float) -> float:
        before, until = cpu_times(), time.perf_counter() + seconds
        while time.perf_counter() < until:
            pass
        return load_by_others(before, cpu_times()) or 0.0

    alone = after(0.8)
    code = "import time\nend = time.time() + 20\nwhile time.time() < end: pass"
    with subprocess.Popen([sys.executable, "-c", code]) as neighbour:
        time.sleep(0.3)
        beside = after(0.8)
        neighbour.kill()
    cores = os.cpu_count() or 1
    assert beside > alone - 0.1  # whatever else this machine does at the time
    assert 0 <= alone <= 1 - 0.4 / cores
