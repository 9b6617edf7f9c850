"""Joules are the board's own counter, or nothing."""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from quantbench.errors import MeterError
from quantbench.measure.energy.choosing import open_meter

if TYPE_CHECKING:
    from collections.abc import Callable


class Machine:
    """Torch and NVML of two boards, which NVML numbers the other way round; counters in mJ."""

    class NVMLError(Exception):
        """As pynvml's."""

    def __init__(self) -> None:
        self.millijoules: dict[str, int | None] = {"GPU-idle": 10, "GPU-busy": 5_000}
        self.calls: list[str] = []
        self.sees_a_gpu, self.__version__ = True, "2.0+cpu"
        self.cuda = SimpleNamespace(
            is_available=lambda: self.sees_a_gpu,
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
            raise self.NVMLError("not supported")
        return counted


def installed(monkeypatch: pytest.MonkeyPatch, **modules: Any) -> Machine:
    machine = Machine()
    for name, module in ({"torch": machine, "pynvml": machine} | modules).items():
        monkeypatch.setitem(sys.modules, name, module)
    return machine


def test_the_counter_is_that_of_torch_s_board_once_it_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = installed(monkeypatch)
    meter = open_meter("cuda")
    assert meter.joules() == 5.0
    machine.millijoules["GPU-busy"] = 12_500
    machine.calls.clear()
    assert meter.joules() == 12.5
    # What was launched before is not charged to the block that follows.
    assert machine.calls == ["synchronize", "read"]
    assert (meter.name, meter.counts) == ("NVML", "the whole board of GPU 1")


def test_a_torch_without_cuda_is_said_and_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = installed(monkeypatch)
    machine.sees_a_gpu = False
    with pytest.raises(MeterError, match=r"torch 2\.0\+cpu sees no GPU"):
        open_meter("cuda")
    installed(monkeypatch, torch=None)
    with pytest.raises(MeterError, match="torch is not installed"):
        open_meter("cuda")


def test_without_nvml_nothing_is_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, pynvml=None)
    with pytest.raises(MeterError, match=r"quantbench\[gpu\]"):
        open_meter("cuda")


def test_a_board_that_does_not_count_is_not_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = installed(monkeypatch)
    meter = open_meter("cuda")
    machine.millijoules["GPU-busy"] = None  # lost on the way
    with pytest.raises(MeterError, match="not supported"):
        meter.joules()
    with pytest.raises(MeterError, match="not supported"):
        open_meter("cuda")


@pytest.mark.gpu
def test_a_busy_board_draws_more_than_an_idle_one() -> None:
    torch = pytest.importorskip("torch")
    factors = torch.randn(4096, 4096, device="cuda", dtype=torch.bfloat16)
    meter = open_meter("cuda")

    def watts(call: Callable[[], object]) -> float:
        before, started = meter.joules(), time.perf_counter()
        while time.perf_counter() - started < 1:
            call()
            torch.cuda.synchronize()
        return (meter.joules() - before) / (time.perf_counter() - started)

    idle, busy = watts(lambda: time.sleep(0.01)), watts(lambda: factors @ factors)
    assert 5 < idle < busy / 1.5 < 1000
