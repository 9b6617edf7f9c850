"""What counts energy."""

from __future__ import annotations

from typing import Protocol


class Meter(Protocol):
    """A counter of energy, opened for one measurement.

    Opening raises `MeterError` where this machine has no such counter, or nobody may read it.
    """

    @property
    def name(self) -> str:
        """What people call the counter: "RAPL", "NVML"."""

    @property
    def counts(self) -> str:
        """What it counts, in words: "package-0 and dram of this machine"."""

    def joules(self) -> float:
        """Everything counted since some moment that never changes.

        Raises:
            MeterError: the counter is gone, or moved as no energy does.
        """
