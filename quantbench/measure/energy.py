"""Energy of a GPU, by its own counter."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LONG_ENOUGH_S = 1.0  # the counter moves some ten to fifty times a second


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


def joules_of(call: Callable[[], object], device: str) -> float | None:
    """Mean energy of one call among those made in a row for a second, or None.

    What stands before, the first call's compilation say, is not in it; the board's idle power for
    as long as a call takes is.
    """
    if device != "cuda":
        return None
    calls, started = 0, time.perf_counter()
    with energy(device) as drawn:
        while not calls or time.perf_counter() - started < _LONG_ENOUGH_S:
            call()
            calls += 1
    return None if drawn.joules is None else drawn.joules / calls


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
