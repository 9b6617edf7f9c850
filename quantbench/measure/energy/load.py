"""How busy others keep the machine, by the kernel's own accounts (proc(5))."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_IDLE = (3, 4)  # places of idle and iowait after "cpu"
_GUEST = 8  # from here on a time is in another one already
_OWN = slice(11, 15)  # after ")": utime, stime, and those of children that were waited for


@dataclass(frozen=True)
class CpuTimes:
    """Ticks since boot, of all processors together.

    Attributes:
        all: that passed.
        busy: in which something ran.
        own: in which this process ran, or a child that it waited for.
    """

    all: int
    busy: int
    own: int


def cpu_times(proc: Path = _PROC) -> CpuTimes | None:
    """As of now; None where the system does not say (elsewhere than on Linux)."""
    try:
        line = (proc / "stat").read_text(encoding="ascii").splitlines()[0]
        own = (proc / "self" / "stat").read_text(encoding="utf-8", errors="replace")
    except (OSError, IndexError):
        return None
    times = [int(word) for word in line.split()[1:]][:_GUEST]
    mine = [int(word) for word in own.rpartition(")")[2].split()[_OWN]]
    idle = sum(times[place] for place in _IDLE)
    return CpuTimes(sum(times), sum(times) - idle, sum(mine))


def load_by_others(before: CpuTimes | None, after: CpuTimes | None) -> float | None:
    """Share of the processor time between the two that other processes took, in [0, 1].

    Kernel work on this process's behalf in interrupts counts as others'. Children that still run,
    and whatever other containers or guests do outside of this kernel's accounts, are not told
    apart. None where nothing is known, or less than a tenth of a second passed.
    """
    if before is None or after is None:
        return None
    passed = after.all - before.all
    if passed < _ticks_a_second() / 10:
        return None
    others = (after.busy - before.busy) - (after.own - before.own)
    return min(max(others / passed, 0.0), 1.0)


def _ticks_a_second() -> int:
    return os.sysconf("SC_CLK_TCK")
