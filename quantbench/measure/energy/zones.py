"""The zones of Linux' powercap tree that together count a machine once.

    intel-rapl:0            package-0    its cores, caches and own GPU, not its memory
    intel-rapl:0:0          core         a part of package-0: never added
    intel-rapl:0:1          dram         the memory beside package-0
    intel-rapl:1            psys         the whole platform, packages and all: never added to them
    intel-rapl-mmio:0       package-0    the same package by another way: never added

AMD's processors have the same names (the kernel's intel-rapl driver counts them too; mostly no
dram). Arm's are those that the firmware gives to `arm-scmi:*`; zones below a zone are parts of it.
`enabled` is not asked: it says whether a power limit is kept, and the counters count all the same.
Sources: the kernel's Documentation/power/powercap/powercap.rst and its driver intel_rapl_common.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quantbench.errors import MeterError

if TYPE_CHECKING:
    from pathlib import Path

COUNTER = "energy_uj"
_TOP = re.compile(r"(?P<control>[a-z-]*rapl[a-z-]*|arm-scmi):\d+")
_ARM = "scmi"
_PSYS, _DRAM, _PACKAGE = "psys", "dram", "package"
_RATE = "or state a rate of your own: --quant-watts 15"


@dataclass(frozen=True)
class Zone:
    """A counter that is taken in.

    Attributes:
        name: "package-0", "dram of package-0".
        folder: with its files.
    """

    name: str
    folder: Path

    @property
    def is_memory(self) -> bool:
        """Whether it counts memory alone."""
        return self.name.startswith(_DRAM)


def zones_of(root: Path) -> list[Zone]:
    """Those that count the machine once, processors first.

    Args:
        root: /sys/class/powercap, or a tree like it.

    Raises:
        MeterError: there is none that counts, or one that must be in it may not be read.
    """
    tops = sorted(each for each in _listed(root) if _TOP.fullmatch(each.name))
    ways = _ways(root, tops)
    if any(name.startswith(_PACKAGE) for name in ways):
        kept = [name for name in ways if name.startswith((_PACKAGE, _DRAM))]
    else:
        kept = [name for name in ways if name == _PSYS] or list(ways)
    if any(name.startswith(f"{_DRAM} of") for name in kept):
        kept = [name for name in kept if name != _DRAM]
    zones = [Zone(name, _readable(ways[name], root)) for name in kept]
    if not zones:
        raise _nothing(root, tops)
    return sorted(zones, key=lambda zone: (zone.is_memory, zone.name))


def _ways(root: Path, tops: list[Path]) -> dict[str, list[Path]]:
    """By the name of what is counted, the folders that count it, in the order to be tried."""
    ways: dict[str, list[Path]] = {}
    for top in tops:
        name = _text(top / "name")
        if name is None or not _counts(top):
            continue
        ways.setdefault(name, []).append(top)
        if _ARM in top.name:
            continue
        below = {each.name: each for place in (top, root) for each in place.glob(f"{top.name}:*")}
        for each in sorted(below.values()):
            if _text(each / "name") == _DRAM and _counts(each):
                ways.setdefault(f"{_DRAM} of {name}", []).append(each)
    return ways


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _counts(folder: Path) -> bool:
    """Whether it has a counter, whoever may read it."""
    try:
        return (folder / COUNTER).exists()
    except OSError:
        return True  # it is there, behind a folder that may not be entered


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def _readable(ways: list[Path], root: Path) -> Path:
    """The first way that may be read.

    Raises:
        MeterError: none may.
    """
    refused: OSError | None = None
    for folder in ways:
        try:
            (folder / COUNTER).read_bytes()
        except OSError as error:
            refused = refused or error
        else:
            return folder
    if isinstance(refused, PermissionError):
        raise MeterError(
            "nobody but root may read this machine's energy counters",
            where=ways[0] / COUNTER,
            got=refused.strerror,
            remedy=f"sudo chmod a+r {root}/*/{COUNTER} (until the next boot), {_RATE}",
        ) from refused
    raise MeterError(
        "an energy counter cannot be read", where=ways[0] / COUNTER, got=refused, remedy=_RATE
    ) from refused


def _nothing(root: Path, tops: list[Path]) -> MeterError:
    if tops:
        return MeterError(
            "the kernel lists energy zones, and none of them counts",
            where=root,
            got=", ".join(top.name for top in tops[:5]),
            remedy="in a container they are masked: docker run --security-opt "
            f"systempaths=unconfined; {_RATE}",
        )
    return MeterError(
        "this machine shows no energy counter",
        where=root,
        got="no zone of a processor" if root.is_dir() else "no such folder",
        remedy="measure on the machine itself, as virtual machines seldom show its counters "
        f"(Linux: modprobe intel_rapl_msr), {_RATE}",
    )
