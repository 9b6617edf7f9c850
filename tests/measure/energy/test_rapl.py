"""Zones are counted once each, on fake trees with the faults that other readers have.

The faults, and where others had them: zeus 0.16 takes each `intel-rapl:N` for a processor, psys
too, and its monitor reports no energy where nobody may read (ml-energy/zeus, pull request 268);
codecarbon added psys, both packages of MSR and MMIO (mlco2/codecarbon, pull request 950), each die
of a counter that dies share (issue 1274), dram twice (issue 1268), and negative energy at the wrap
(issues 309, 322, 1309).
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from quantbench.errors import MeterError
from quantbench.measure.energy.choosing import open_meter
from quantbench.measure.energy.rapl import Rapl
from tests.measure.energy.fakes import RANGE_UJ, FakeTree


@pytest.fixture
def tree(tmp_path: Path) -> FakeTree:
    (tmp_path / "powercap").mkdir()
    return FakeTree(tmp_path / "powercap")


def opened(tree: FakeTree) -> Rapl:
    return Rapl(tree.root, tree.time.clock)


def drawn(tree: FakeTree, meter: Rapl, seconds: float = 2.0) -> float:
    before = meter.joules()
    tree.time.wait(seconds)
    return meter.joules() - before


def test_the_package_and_its_memory_count_and_no_part_or_whole_of_them(tree: FakeTree) -> None:
    tree.laptop()
    meter = opened(tree)
    assert drawn(tree, meter) == pytest.approx(2 * (10 + 3))  # with psys 76, with all parts 92
    assert meter.counts == "package-0 and dram of package-0 of this machine"


def test_zones_are_found_as_the_kernel_nests_them_too(tree: FakeTree) -> None:
    tree.zone("intel-rapl:0", "package-0", 10.0)
    tree.zone("intel-rapl:0/intel-rapl:0:0", "dram", 3.0)
    (tree.root / "intel-rapl:0:0").symlink_to(tree.root / "intel-rapl:0/intel-rapl:0:0")
    assert drawn(tree, opened(tree)) == pytest.approx(26)  # not 32: listed twice, counted once


def test_each_socket_counts_with_its_own_memory(tree: FakeTree) -> None:
    for socket, watts in enumerate((40.0, 50.0)):
        tree.zone(f"intel-rapl:{socket}", f"package-{socket}", watts, 1e9 * (socket + 1))
        tree.zone(f"intel-rapl:{socket}:0", "dram", 4.0, 1e8 * (socket + 1))
    meter = opened(tree)
    assert drawn(tree, meter) == pytest.approx(2 * (40 + 50 + 8))
    assert "package-0, package-1, dram of package-0 and dram of package-1" in meter.counts


def test_a_package_that_is_shown_twice_counts_once(tree: FakeTree) -> None:
    tree.zone("intel-rapl:0", "package-0", 10.0)
    tree.zone("intel-rapl-mmio:0", "package-0", 10.0, 7e9)
    tree.zone("intel-rapl-mmio:0:0", "dram", 3.0)
    assert drawn(tree, opened(tree)) == pytest.approx(2 * (10 + 3))


def test_where_one_way_to_a_package_is_closed_the_other_is_read(
    tree: FakeTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree.zone("intel-rapl:0", "package-0", 10.0)
    tree.zone("intel-rapl-mmio:0", "package-0", 10.0, 7e9)
    closed(monkeypatch, "intel-rapl:0")
    assert drawn(tree, opened(tree)) == pytest.approx(20)


def test_psys_alone_is_better_than_nothing(tree: FakeTree) -> None:
    tree.zone("intel-rapl:0", "psys", 25.0)
    meter = opened(tree)
    assert drawn(tree, meter) == pytest.approx(50)
    assert meter.counts == "psys of this machine"


@pytest.mark.parametrize("shared", [True, False])
def test_dies_count_once_each_unless_they_show_one_counter(
    tree: FakeTree,
    shared: bool,  # noqa: FBT001
) -> None:
    tree.zone("intel-rapl:0", "package-0-die-0", 68.0, 5e9)
    tree.zone("intel-rapl:1", "package-0-die-1", 68.0, 5e9 + (1000 if shared else 4e6))
    meter = opened(tree)
    assert drawn(tree, meter) == pytest.approx(136 if shared else 272)
    assert ("repeats" in meter.counts) is shared


def test_amd_s_zones_have_the_same_names_and_a_smaller_range(tree: FakeTree) -> None:
    tree.zone("intel-rapl:0", "package-0", 100.0, 65.5e9, range_uj=65_532_610_987)
    tree.zone("intel-rapl:0:0", "core", 60.0)
    assert drawn(tree, opened(tree), 1.0) == pytest.approx(100)  # and it wrapped


def test_arm_s_zones_are_those_that_the_firmware_names(tree: FakeTree) -> None:
    tree.zone("arm-scmi:0", "SoC", 8.0)
    tree.zone("arm-scmi:0:0", "big cores", 5.0)  # a part
    tree.zone("arm-scmi:0:1", "dram", 2.0)  # a part there, too
    tree.zone("dtpm:0", "platform", 9.0)  # a power model of the kernel's, no counter
    meter = opened(tree)
    assert drawn(tree, meter) == pytest.approx(16)
    assert meter.counts == "SoC of this machine"


def test_energy_at_the_wrap_is_neither_negative_nor_lost(tree: FakeTree) -> None:
    tree.zone("intel-rapl:0", "package-0", 10.0, RANGE_UJ - 4e6)
    tree.zone("intel-rapl:0:0", "dram", 3.0)
    meter = opened(tree)
    assert drawn(tree, meter) == pytest.approx(26)
    assert tree.zones["intel-rapl:0"].microjoules < 20e6, "it did not wrap"


@pytest.mark.parametrize(
    ("back_to", "range_uj", "says"),
    [
        (1e6, RANGE_UJ, "moved by"),  # reset, by a driver or a sleep: no wrap, which is at the end
        (4.9e9, RANGE_UJ, "moved by"),
        (1e6, 0, "states no range"),
    ],
)
def test_a_counter_that_goes_backwards_otherwise_is_not_believed(
    tree: FakeTree, back_to: float, range_uj: int, says: str
) -> None:
    zone = tree.zone("intel-rapl:0", "package-0", 10.0, range_uj=range_uj)
    meter = opened(tree)
    tree.time.wait(1.0)
    zone.set(back_to)
    with pytest.raises(MeterError, match=says):
        meter.joules()


def test_a_counter_that_leaps_is_not_believed(tree: FakeTree) -> None:
    zone = tree.zone("intel-rapl:0", "package-0", 10.0)
    meter = opened(tree)
    tree.time.wait(1.0)
    zone.set(zone.microjoules + 5e9)  # 5 kJ in a second
    with pytest.raises(MeterError, match="moved by 50"):
        meter.joules()


def test_a_counter_that_may_have_wrapped_unseen_is_not_believed(tree: FakeTree) -> None:
    tree.zone("intel-rapl:0", "package-0", 300.0)
    meter = opened(tree)
    tree.time.wait(130.0)
    meter.joules()
    tree.time.wait(874.0)  # once around at 300 W
    with pytest.raises(MeterError, match="was not read for 874 s"):
        meter.joules()


def test_a_counter_that_stands_still_is_named(tree: FakeTree) -> None:
    tree.zone("intel-rapl:0", "package-0", 10.0)
    tree.zone("intel-rapl:1", "package-1", 0.0)  # as virtual machines show them
    with pytest.raises(MeterError, match="package-1: no change"):
        opened(tree)


def test_memory_that_stands_still_is_left_out_and_said(tree: FakeTree) -> None:
    tree.zone("intel-rapl:0", "package-0", 10.0)
    tree.zone("intel-rapl:0:0", "dram", 0.0)
    meter = opened(tree)
    assert meter.counts == "package-0 of this machine (dram of package-0 stands still)"
    assert drawn(tree, meter) == pytest.approx(20)


def test_a_zone_without_a_power_limit_counts_all_the_same(tree: FakeTree) -> None:
    tree.laptop()
    for zone in tree.zones.values():
        (zone.folder / "enabled").write_text("0\n")
    assert drawn(tree, opened(tree)) == pytest.approx(26)


def closed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let nobody read the counters of this folder; root, who may run tests, reads all files."""
    read = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.parent.name == name:
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)


@pytest.mark.parametrize("name", ["intel-rapl:0", "intel-rapl:0:2"])
def test_no_permission_is_said_with_what_gives_it(
    tree: FakeTree, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree.laptop()
    closed(monkeypatch, name)
    with pytest.raises(MeterError, match="nobody but root") as raised:
        opened(tree)
    assert f"sudo chmod a+r {tree.root}/*/energy_uj" in str(raised.value.remedy)


@pytest.mark.skipif(os.getuid() == 0, reason="root reads everything")
def test_no_permission_is_seen_in_the_files(tree: FakeTree) -> None:
    tree.laptop()
    (tree.zones["intel-rapl:0"].folder / "energy_uj").chmod(0)
    with pytest.raises(MeterError, match="nobody but root"):
        opened(tree)


def test_a_zone_that_vanishes_is_said(tree: FakeTree) -> None:
    tree.laptop()
    meter = opened(tree)
    shutil.rmtree(tree.zones["intel-rapl:0:2"].folder)
    with pytest.raises(MeterError, match="dram of package-0 is gone"):
        meter.joules()


def test_a_container_that_masks_the_counters_is_told_apart(tree: FakeTree) -> None:
    (tree.root / "intel-rapl:0").symlink_to(tree.root / "masked")
    with pytest.raises(MeterError, match="none of them counts"):
        opened(tree)


def test_a_machine_without_counters_says_how_to_get_figures(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(MeterError, match="shows no energy counter") as raised:
            open_meter("cpu", root)
        assert "--quant-watts" in str(raised.value.remedy)


def test_what_is_no_number_is_no_energy(tree: FakeTree) -> None:
    zone = tree.zone("intel-rapl:0", "package-0", 10.0)
    meter = opened(tree)
    (zone.folder / "energy_uj").write_text("\n")
    with pytest.raises(MeterError, match="gone or unreadable"):
        meter.joules()
