"""Memory of this process, as the kernel counts it."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PEAK = "peak_rss_bytes"  # its name among the details of what was built


@dataclass
class PeakMemory:
    """Filled when the measured block ends.

    Attributes:
        peak_rss_bytes: highest resident set of the whole process inside the block, frameworks
            included, or None where the kernel cannot reset its high-water mark.
        peak_device_bytes: most that torch held on a CUDA device, or None without one.
    """

    peak_rss_bytes: int | None = None
    peak_device_bytes: int | None = None


@contextmanager
def peak_memory(device: str = "cpu") -> Iterator[PeakMemory]:
    """Measure the peak resident set of a block (Linux: `VmHWM` after `clear_refs`, proc(5))."""
    peak = PeakMemory()
    if device == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats()
    resettable = _reset_high_water_mark()
    yield peak
    if resettable:
        peak.peak_rss_bytes = _high_water_mark()
    if device == "cuda":
        peak.peak_device_bytes = torch.cuda.max_memory_allocated()


def _reset_high_water_mark() -> bool:
    if sys.platform != "linux":
        return False
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _high_water_mark() -> int | None:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None
