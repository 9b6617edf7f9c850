"""Which counter counts a device of this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from quantbench.measure.energy.rapl import POWERCAP, Rapl

if TYPE_CHECKING:
    from quantbench.protocols import Meter

_JETSON = Path("/etc/nv_tegra_release")


def open_meter(device: str, root: Path = POWERCAP) -> Meter:
    """The counter, opened.

    Args:
        device: "cpu" or "cuda".
        root: of the processors' counters (Linux).

    Raises:
        MeterError: there is none, or it cannot be read; it says what to do.
    """
    if sys.platform == "darwin" or _JETSON.exists():
        from quantbench.measure.energy.zeus import SystemOnChip

        return SystemOnChip()
    if device == "cuda":
        from quantbench.measure.energy.nvml import Nvml

        return Nvml()
    return Rapl(root)
