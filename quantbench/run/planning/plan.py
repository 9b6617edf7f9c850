"""What a study will take, as plain numbers: of each step, each case, and all together."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Kind = Literal["fetch", "import", "build", "predict", "count"]


@dataclass(frozen=True, kw_only=True)
class Need:
    """What one step takes that is not done yet; None wherever nobody knows.

    Attributes:
        kind: of step.
        what: it works on, so that what two cases share counts once.
        words: the same for people: a scheme, an importer, a source.
        fetch_bytes: that come over a network.
        disk_bytes: that stay on this disk.
        memory_bytes: resident set of a process that does this step alone, at its highest.
        device_bytes: the same of a GPU's memory; 0 where none is used.
        seconds: that it takes.
        rests_on: what the seconds rest on.
    """

    kind: Kind
    what: str
    words: str
    fetch_bytes: float | None = 0
    disk_bytes: float | None = 0
    memory_bytes: float | None = 0
    device_bytes: float | None = 0
    seconds: float | None = 0
    rests_on: str = ""


@dataclass(frozen=True)
class CasePlan:
    """What one case takes.

    Attributes:
        case: its name.
        model: its model's name.
        scheme: its scheme's name.
        needs: of its steps that are not done; of a case that shares one all of it.
        lacks: why it cannot run here as it stands; nothing where nothing is known to be missing.
    """

    case: str
    model: str
    scheme: str
    needs: tuple[Need, ...]
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Room:
    """What this machine has, in bytes.

    Attributes:
        memory: of the machine, or what this process may use of it.
        disk: free where the store is.
        device: of the GPU's memory; None without a GPU.
    """

    memory: int
    disk: int
    device: int | None = None


@dataclass(frozen=True)
class Total:
    """A sum or maximum of numbers of which some may be unknown.

    Attributes:
        known: of those that are known.
        unknown: words of the steps whose number nobody knows.
        at: words of the step with the largest.
    """

    known: float
    unknown: tuple[str, ...] = ()
    at: str = ""


@dataclass(frozen=True)
class Plan:
    """What a study takes, beside what the machine has.

    Attributes:
        cases: of the study, and their references.
        room: of the machine.
        kept_bytes: resident set that frameworks of several backends keep in one process besides the
            largest step's.
        started_s: seconds of the run itself: pytest, imports.
    """

    cases: tuple[CasePlan, ...]
    room: Room
    kept_bytes: float = 0
    started_s: float = 0
    _steps: tuple[Need, ...] = field(init=False, repr=False, compare=False, default=())

    def __post_init__(self) -> None:
        """Take each step once."""
        found = {(need.kind, need.what): need for case in self.cases for need in case.needs}
        object.__setattr__(self, "_steps", tuple(found.values()))

    @property
    def fetch(self) -> Total:
        """Bytes that come over a network."""
        return _sum(self._steps, "fetch_bytes")

    @property
    def disk(self) -> Total:
        """Bytes that stay on this disk."""
        return _sum(self._steps, "disk_bytes")

    @property
    def memory(self) -> Total:
        """Resident set of the run's process at its highest."""
        found = _most(self._steps, "memory_bytes")
        return Total(found.known + self.kept_bytes * bool(found.known), found.unknown, found.at)

    @property
    def device(self) -> Total:
        """GPU memory at its highest."""
        return _most(self._steps, "device_bytes")

    @property
    def seconds(self) -> Total:
        """Of all steps and of the run itself."""
        found = _sum(self._steps, "seconds")
        return Total(found.known + self.started_s, found.unknown)

    @property
    def obstacles(self) -> list[tuple[str, Total, int]]:
        """What does not fit: "memory", "disk" or "GPU memory", what is needed, what is there."""
        room = self.room
        found: list[tuple[str, Total, int]] = []
        if self.memory.known > room.memory:
            found.append(("memory", self.memory, room.memory))
        if self.disk.known > room.disk:
            found.append(("disk", self.disk, room.disk))
        if room.device is not None and self.device.known > room.device:
            found.append(("GPU memory", self.device, room.device))
        return found

    @property
    def fits(self) -> bool:
        """Whether nothing that is known is more than the machine has."""
        return not self.obstacles

    def as_json(self) -> dict[str, Any]:
        """Everything, for programs."""
        named = ("fetch", "disk", "memory", "device", "seconds")
        return {
            "schema": 1,
            "fits": self.fits,
            "room": asdict(self.room),
            "total": {name: asdict(getattr(self, name)) for name in named},
            "cases": [asdict(case) for case in self.cases],
        }


def of_case(case: CasePlan, name: str) -> Total:
    """The sum of a case's steps, of memory their largest, by the name of a `Need`'s field."""
    take = _most if name in {"memory_bytes", "device_bytes"} else _sum
    return take(case.needs, name)


def _sum(needs: Sequence[Need], name: str) -> Total:
    known = [(getattr(need, name), need) for need in needs]
    return Total(sum(each for each, _ in known if each is not None), _unknown(known))


def _most(needs: Sequence[Need], name: str) -> Total:
    known = [(getattr(need, name), need) for need in needs]
    largest, at = max(
        ((each, need.words) for each, need in known if each is not None), default=(0, "")
    )
    return Total(largest, _unknown(known), at)


def _unknown(known: Iterable[tuple[float | None, Need]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(need.words for each, need in known if each is None))
