"""Joules are the difference of the board's own counter, or nothing."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from quantbench.metrics.energy import energy

if TYPE_CHECKING:
    import pytest


class Machine:
    """Torch and NVML of two boards, which NVML numbers the other way round; counters in mJ."""

    class NVMLError(Exception):
        """As pynvml's."""

    def __init__(self) -> None:
        self.millijoules: dict[str, int | None] = {"GPU-idle": 10, "GPU-busy": 5_000}
        self.calls: list[str] = []
        self.cuda = SimpleNamespace(
            synchronize=lambda: self.calls.append("synchronize"),
            current_device=lambda: 1,
            get_device_properties=lambda i: SimpleNamespace(uuid=("idle", "busy")[i]),
        )

    def nvmlInit(self) -> None:  # noqa: N802 - pynvml's name
        self.calls.append("init")

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        return uuid

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:  # noqa: N802
        self.calls.append("read")
        counted = self.millijoules[handle]
        if counted is None:
            raise self.NVMLError
        return counted

    def spend(self, millijoules: int) -> None:
        self.calls.append("block")
        self.millijoules["GPU-busy"] = (self.millijoules["GPU-busy"] or 0) + millijoules


def installed(monkeypatch: pytest.MonkeyPatch, **modules: Any) -> Machine:
    machine = Machine()
    for name, module in ({"torch": machine, "pynvml": machine} | modules).items():
        monkeypatch.setitem(sys.modules, name, module)
    return machine


def test_the_block_is_charged_what_its_board_drew(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = installed(monkeypatch)
    with energy("cuda") as drawn:
        machine.spend(7_500)
    assert drawn.joules == 7.5
    # What was launched before is not charged to the block, what it launched is.
    read = ["synchronize", "init", "read"]
    assert machine.calls == [*read, "block", *read]


def test_a_block_elsewhere_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = installed(monkeypatch)
    with energy("cpu") as drawn:
        machine.spend(7_500)
    assert drawn.joules is None
    assert machine.calls == ["block"]


def test_without_nvml_nothing_is_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = installed(monkeypatch, pynvml=None)
    with energy("cuda") as drawn:
        machine.spend(7_500)
    assert drawn.joules is None


def test_a_board_that_does_not_count_is_not_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = installed(monkeypatch)
    machine.millijoules["GPU-busy"] = None
    with energy("cuda") as drawn:
        machine.calls.append("block")
    assert drawn.joules is None
    machine = installed(monkeypatch)
    with energy("cuda") as drawn:
        machine.millijoules["GPU-busy"] = None  # lost on the way
    assert drawn.joules is None
