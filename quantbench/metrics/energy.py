"""Energy of a GPU, by its own counter."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Energy:
    """Filled when the measured block ends.

    Attributes:
        joules: what the whole board drew, its idle power included; None where nothing counts it:
            never a guess.
    """

    joules: float | None = None


@contextmanager
def energy(device: str) -> Iterator[Energy]:
    """Measure a block on `device` (NVML's total energy consumption; Volta and later)."""
    found = Energy()
    before = _millijoules() if device == "cuda" else None
    yield found
    after = _millijoules() if before is not None else None
    if before is not None and after is not None:
        found.joules = (after - before) / 1000


def _millijoules() -> int | None:
    """Of torch's current device since the driver was loaded; None where NVML does not say."""
    import torch

    try:
        import pynvml
    except ModuleNotFoundError:
        return None
    torch.cuda.synchronize()
    try:
        pynvml.nvmlInit()
        # NVML counts all boards, torch those that it is shown: the UUID is the same in both.
        board = pynvml.nvmlDeviceGetHandleByUUID(
            f"GPU-{torch.cuda.get_device_properties(torch.cuda.current_device()).uuid}"
        )
        return int(pynvml.nvmlDeviceGetTotalEnergyConsumption(board))
    except pynvml.NVMLError:
        return None
