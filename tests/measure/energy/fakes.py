"""A machine whose power, time and counters are numbers in a test."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from quantbench.errors import MeterError
from quantbench.measure.energy.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RANGE_UJ = 262_143_328_850  # as Intel's packages have it


@dataclass
class FakeTime:
    """Time that passes where somebody waits or works; `passed` hears of it."""

    now_s: float = 100.0
    passed: list[Callable[[float], object]] = field(default_factory=list)

    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        for each in self.passed:
            each(seconds)

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now_s, self.wait)


@dataclass
class FakeZone:
    """A zone's files, whose counter rises with the time and begins anew at its range."""

    folder: Path
    watts: float
    microjoules: float
    range_uj: int

    def draw(self, seconds: float) -> None:
        self.set(self.microjoules + self.watts * seconds * 1e6)

    def set(self, microjoules: float) -> None:
        self.microjoules = microjoules % self.range_uj if self.range_uj else microjoules
        if (self.folder / "energy_uj").exists():
            (self.folder / "energy_uj").write_text(f"{int(self.microjoules)}\n")


class FakeTree:
    """Folders like /sys/class/powercap's."""

    def __init__(self, root: Path) -> None:
        self.root, self.time = root, FakeTime()
        self.zones: dict[str, FakeZone] = {}

    def zone(
        self, path: str, name: str, watts: float, uj: float = 5e9, range_uj: int = RANGE_UJ
    ) -> FakeZone:
        """A zone that draws so much; `path` below the root, as the kernel nests it or flat."""
        folder = self.root / path
        folder.mkdir(parents=True)
        (folder / "name").write_text(f"{name}\n")
        (folder / "enabled").write_text("1\n")
        if range_uj:
            (folder / "max_energy_range_uj").write_text(f"{range_uj}\n")
        (folder / "energy_uj").touch()
        zone = FakeZone(folder, watts, uj, range_uj)
        zone.set(uj)
        self.zones[path] = zone
        self.time.passed.append(zone.draw)
        return zone

    def laptop(self) -> None:
        """As powercap's issue 3 lists an i7-8550U; flat, as the class folder shows it."""
        self.zone("intel-rapl:0", "package-0", 10.0)
        self.zone("intel-rapl:0:0", "core", 6.0, 1e9)
        self.zone("intel-rapl:0:1", "uncore", 2.0, 1e8)
        self.zone("intel-rapl:0:2", "dram", 3.0, 2e9)
        self.zone("intel-rapl:1", "psys", 25.0, 9e9)
        (self.root / "intel-rapl").mkdir()  # the control type, beside its zones


@dataclass
class FakeMeter:
    """A counter that shows the joules drawn so far, in steps.

    Attributes:
        watts: drawn while time passes.
        extra_j: drawn by a call besides.
    """

    time: FakeTime
    watts: float = 20.0
    step_s: float = 0.001
    extra_j: float = 0.0
    fails_after: int | None = None
    name: str = "fake"
    counts: str = "the whole test"
    _drawn_j: float = 0.0
    reads: int = 0

    def __post_init__(self) -> None:
        self._born_s, self._shown = self.time.now_s, 0.0
        self.time.passed.append(self._draw)

    def _draw(self, seconds: float) -> None:
        self._drawn_j += self.watts * seconds

    def joules(self) -> float:
        self.reads += 1
        if self.fails_after is not None and self.reads > self.fails_after:
            raise MeterError("fake vanished", got="nothing")
        steps = int((self.time.now_s - self._born_s) / self.step_s + 1e-9)
        if steps != getattr(self, "_step", None):
            self._step, self._shown = steps, self._drawn_j + self.extra_j
        return self._shown
