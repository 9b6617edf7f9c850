"""Energy of processors and their memory, by Linux' powercap counters (RAPL)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from quantbench.errors import MeterError
from quantbench.measure.energy.clock import REAL, Clock
from quantbench.measure.energy.zones import COUNTER, Zone, zones_of

if TYPE_CHECKING:
    from collections.abc import Sequence

POWERCAP = Path("/sys/class/powercap")
_MOST_WATTS = 2000.0  # of a zone: what draws more is no counter of a processor
_SLACK_J = 10.0  # counters move in steps, and are read one after the other
_PATIENCE_S, _LOOK_S = 0.5, 0.002
_MIRROR_J = 1.0  # two ways to one counter are read so close together
_DIE = re.compile(r"(package-\d+)-die-\d+")


@dataclass
class Counter:
    """A zone's counter, which begins anew at its range.

    Attributes:
        joules: counted since it was opened.
    """

    zone: Zone
    clock: Clock
    joules: float = 0.0
    range_uj: int = field(init=False)
    raw_uj: int = field(init=False)
    _read_at_s: float = field(init=False)

    def __post_init__(self) -> None:
        """Begin to count."""
        self.range_uj = self._number("max_energy_range_uj", missing=0)
        self.raw_uj, self._read_at_s = self._number(COUNTER), self.clock.now()

    def advance(self) -> None:
        """Read it again.

        It wrapped around where it is behind and the rest of its range is what a zone can draw in
        that time. Read so seldom that it may have wrapped unseen, it says nothing.

        Raises:
            MeterError: it is gone, was read too seldom, or moved as no energy does.
        """
        raw, now = self._number(COUNTER), self.clock.now()
        passed_s, gained = now - self._read_at_s, raw - self.raw_uj
        if gained < 0:
            if not self.range_uj:
                raise self._wrong("goes backwards and states no range", raw)
            gained += self.range_uj
        if self.range_uj and passed_s * _MOST_WATTS * 1e6 > self.range_uj:
            raise self._wrong(f"was not read for {passed_s:.0f} s and may have wrapped", raw)
        if not 0 <= gained <= (passed_s * _MOST_WATTS + _SLACK_J) * 1e6:
            raise self._wrong(f"moved by {gained / 1e6:.0f} J in {passed_s:.3f} s", raw)
        self.raw_uj, self._read_at_s = raw, now
        self.joules += gained / 1e6

    def _wrong(self, how: str, raw: int) -> MeterError:
        return MeterError(
            f"the energy counter {self.zone.name} {how}",
            where=self.zone.folder,
            expected=f"a counter that rises, by {_MOST_WATTS:.0f} W at most",
            got=f"{self.raw_uj} uJ, then {raw} uJ, of a range of {self.range_uj} uJ",
        )

    def _number(self, name: str, *, missing: int | None = None) -> int:
        path = self.zone.folder / name
        try:
            return int(path.read_text(encoding="ascii"))
        except (OSError, ValueError) as error:
            if missing is not None:
                return missing
            raise MeterError(
                f"the energy counter {self.zone.name} is gone or unreadable",
                where=path,
                got=f"{type(error).__name__}: {error}",
            ) from error


class Rapl:
    """Processor packages and, where it is counted apart, memory; the sum of `zones.zones_of`.

    Steps of about a millisecond. Nothing of other processes is left out. May be read by several
    threads, and must be read every 30 seconds or so: counters of some machines begin anew after a
    few minutes at full load.
    """

    name = "RAPL"

    def __init__(self, root: Path = POWERCAP, clock: Clock = REAL) -> None:
        """Find the counters, and see them move.

        Raises:
            MeterError: there are none, nobody may read them, or one stands still.
        """
        found = [Counter(zone, clock) for zone in zones_of(root)]
        near = _near(found)
        still = _unmoved(found, clock)
        if dead := [each.zone.name for each in still if not each.zone.is_memory]:
            raise MeterError(
                "an energy counter stands still",
                where=root,
                expected="a counter that moves, as even an idle processor draws power",
                got=f"{', '.join(dead)}: no change in {_PATIENCE_S} s",
                remedy="virtual machines often show counters that never move: measure on the "
                "machine itself, or state a rate of your own: --quant-watts 15",
            )
        mirrors = near & _near(found)  # before and after they moved: no chance
        self._counters = [
            each for each in found if each not in still and each.zone.name not in mirrors
        ]
        self._lock = Lock()
        self.counts = f"{_listed([each.zone.name for each in self._counters])} of this machine"
        if still:
            self.counts += f" ({_listed([each.zone.name for each in still])} stands still)"
        if mirrors:
            self.counts += f" ({_listed(sorted(mirrors))} repeats it)"

    def joules(self) -> float:
        """Since it was opened.

        Raises:
            MeterError: a counter is gone, or moved as no energy does.
        """
        with self._lock:
            for each in self._counters:
                each.advance()
            return sum(each.joules for each in self._counters)


def _unmoved(counters: Sequence[Counter], clock: Clock) -> list[Counter]:
    """Those that do not move within half a second."""
    until = clock.now() + _PATIENCE_S
    while True:
        for each in counters:
            each.advance()
        still = [each for each in counters if each.joules == 0]
        if not still or clock.now() >= until:
            return still
        clock.sleep(_LOOK_S)


def _near(counters: Sequence[Counter]) -> set[str]:
    """Further dies of a package whose counter shows what an earlier die's shows.

    The first AMD processors of several dies (Zen, Zen 2) show the counter of the whole socket once
    a die; dies of others each have their own.
    """
    found: set[str] = set()
    seen: dict[str, list[int]] = {}
    for each in counters:
        if die := _DIE.fullmatch(each.zone.name):
            before = seen.setdefault(die[1], [])
            if any(abs(each.raw_uj - other) <= _MIRROR_J * 1e6 for other in before):
                found.add(each.zone.name)
            before.append(each.raw_uj)
    return found


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
