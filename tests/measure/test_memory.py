"""Peak memory against what the kernel says elsewhere."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from quantbench.measure.memory import PeakMemory, peak_memory

SIZE = 200_000_000


def resident() -> int:
    """Bytes, by proc(5)'s statm."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(sys.platform != "linux", reason="Linux counts it")
def test_the_peak_is_that_of_the_block_and_of_nothing_before_it() -> None:
    before = resident()
    with peak_memory() as large:
        held = np.ones(SIZE, np.uint8)
        del held  # what is given back before the end counts
    with peak_memory() as small:
        pass
    assert large.peak_rss_bytes is not None and small.peak_rss_bytes is not None
    assert large.peak_rss_bytes - before == pytest.approx(SIZE, rel=0.2)
    assert small.peak_rss_bytes - before < SIZE / 2
    assert large.peak_device_bytes is None


def measured() -> PeakMemory:
    with peak_memory() as peak:
        pass
    return peak


def test_where_the_kernel_does_not_say_nothing_is_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", refused)
        assert measured() == PeakMemory(None, None)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", "darwin")
        patch.setattr(Path, "write_text", lambda *_: pytest.fail("there is no /proc"))
        assert measured() == PeakMemory(None, None)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", "linux")
        patch.setattr(Path, "write_text", lambda *_: 1)
        patch.setattr(Path, "read_text", lambda _: "VmPeak:\t9 kB\nVmRSS:\t5 kB\n")
        assert measured() == PeakMemory(None, None)
        patch.setattr(Path, "read_text", lambda _: "VmPeak:\t9 kB\nVmHWM:\t7 kB\nVmRSS:\t5 kB\n")
        assert measured() == PeakMemory(7 * 1024, None)


def test_a_devices_peak_is_torchs_since_the_block_began(monkeypatch: pytest.MonkeyPatch) -> None:
    held = {"peak": 900}
    cuda = SimpleNamespace(
        reset_peak_memory_stats=lambda: held.update(peak=0),
        max_memory_allocated=lambda: held["peak"],
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    with peak_memory("cuda") as peak:
        assert held["peak"] == 0
        held["peak"] = 300
    assert peak.peak_device_bytes == 300


@pytest.mark.gpu
def test_a_gpus_peak_is_that_of_the_block() -> None:
    torch = pytest.importorskip("torch")
    kept = torch.ones(SIZE // 4, dtype=torch.uint8, device="cuda")
    with peak_memory("cuda") as large:
        held = torch.ones(SIZE, dtype=torch.uint8, device="cuda")
        del held
    with peak_memory("cuda") as small:
        pass
    before = torch.cuda.memory_allocated()
    assert before >= kept.numel()
    assert large.peak_device_bytes == pytest.approx(before + SIZE, rel=0.01)
    assert small.peak_device_bytes == before
