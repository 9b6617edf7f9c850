"""Joules are the difference of the board's own counter, or nothing."""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from quantbench.measure import energy as counting
from quantbench.measure.energy import energy, joules_of

if TYPE_CHECKING:
    from collections.abc import Callable


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


def calls_of(
    machine: Machine, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], None]:
    """Calls of so many seconds and 3 J each, on a clock of their own."""
    clock = [0.0]
    monkeypatch.setattr(counting, "time", SimpleNamespace(perf_counter=lambda: clock[0]))

    def call() -> None:
        clock[0] += seconds
        machine.spend(3_000)

    return call


@pytest.mark.parametrize(("seconds", "calls"), [(0.25, 4), (0.3, 4), (7.0, 1)])
def test_a_call_is_charged_its_share_of_a_second(
    seconds: float, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = installed(monkeypatch)
    assert joules_of(calls_of(machine, seconds, monkeypatch), "cuda") == 3.0
    assert machine.calls.count("block") == calls


def test_elsewhere_nothing_is_called_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = installed(monkeypatch)
    assert joules_of(calls_of(machine, 0.25, monkeypatch), "cpu") is None
    assert machine.calls == []


@pytest.mark.gpu
def test_a_busy_board_draws_more_than_an_idle_one() -> None:
    torch = pytest.importorskip("torch")
    factors = torch.randn(4096, 4096, device="cuda", dtype=torch.bfloat16)

    def watts(call: Callable[[], object]) -> float:
        started = time.perf_counter()
        with energy("cuda") as drawn:
            while time.perf_counter() - started < 1:
                call()
                torch.cuda.synchronize()
        assert drawn.joules is not None
        return drawn.joules / (time.perf_counter() - started)

    idle, busy = watts(lambda: time.sleep(0.01)), watts(lambda: factors @ factors)
    assert 5 < idle < busy / 1.5 < 1000
