"""Parts of a chip are added once, by the fields of zeus 0.16; what it lacks is said."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from quantbench.errors import MeterError
from quantbench.measure.energy.zeus import SystemOnChip


def installed(monkeypatch: pytest.MonkeyPatch, **known: Any) -> SimpleNamespace:
    """zeus, whose chip knows these fields in mJ."""
    measurement = SimpleNamespace(**known)
    chip = SimpleNamespace(get_total_energy_consumption=lambda: measurement)
    soc = ModuleType("zeus.device.soc")
    soc.get_soc = lambda: chip  # type: ignore[attr-defined]
    for name in ("zeus", "zeus.device"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "zeus.device.soc", soc)
    return measurement


def test_cores_of_apple_s_chip_are_parts_of_its_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    measurement = installed(
        monkeypatch, cpu_total_mj=4000, efficiency_cores_mj=[500, 500], dram_mj=700,
        performance_core_manager_mj=100, gpu_mj=200, gpu_sram_mj=None, ane_mj=0,
    )  # fmt: skip
    meter = SystemOnChip()
    assert meter.joules() == pytest.approx(4.9)
    assert meter.counts == "cpu total, dram, gpu, ane of this chip"
    measurement.dram_mj = None
    with pytest.raises(MeterError, match="no longer knows dram_mj"):
        meter.joules()


def test_a_jetson_s_rails_are_parts_of_its_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, cpu_energy_mj=3000.0, gpu_energy_mj=2000.0, total_energy_mj=9000.0)
    assert SystemOnChip().joules() == 9.0
    installed(monkeypatch, cpu_energy_mj=3000.0, gpu_energy_mj=2000.0, total_energy_mj=None)
    assert SystemOnChip().joules() == 5.0


def test_a_chip_that_says_nothing_is_no_meter(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, total_energy_mj=None)
    with pytest.raises(MeterError, match="does not count"):
        SystemOnChip()


def test_without_zeus_the_remedy_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zeus", None)
    with pytest.raises(MeterError, match=r"pip install .zeus\[apple\]"):
        SystemOnChip()


def test_what_zeus_raises_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch)

    def fail() -> None:
        raise RuntimeError("No observable SoC was found on the current machine.")

    monkeypatch.setattr(sys.modules["zeus.device.soc"], "get_soc", fail)
    with pytest.raises(MeterError, match="No observable SoC"):
        SystemOnChip()
