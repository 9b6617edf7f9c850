"""Joules of work that is done once, such as a build."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quantbench.errors import MeterError
from quantbench.measure.energy.load import cpu_times, load_by_others
from quantbench.measure.energy.watching import read_meanwhile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from quantbench.protocols import Meter

# Among the details of an entry of the store: what making it took, and the search before that.
SPENT, SEARCHED = "energy_spent", "searched"


@dataclass
class Spent:
    """Filled when the block ends: everything that the counter counted, others' work included.

    Attributes:
        joules: None where no counter says so.
        by: the counter and what it counts.
        load_by_others: share of the machine's processor time that other processes took.
    """

    joules: float | None = None
    by: str = ""
    load_by_others: float | None = None

    def as_details(self) -> dict[str, Any]:
        """For the details of what the block made; empty where nothing is known."""
        if self.joules is None:
            return {}
        load = self.load_by_others
        found = {"joules": self.joules, "by": self.by, "load_by_others": load}
        return {SPENT: found}


@contextmanager
def spent(open_meter: Callable[[], Meter]) -> Iterator[Spent]:
    """Measure a block that runs once; without a counter it just runs."""
    found = Spent()
    try:
        meter = open_meter()
        before_j = meter.joules()
    except MeterError:
        yield found
        return
    before = cpu_times()
    with suppress(MeterError):
        with read_meanwhile(meter):
            yield found
        joules = meter.joules() - before_j
        if joules >= 0:
            found.joules, found.by = joules, f"{meter.name}: {meter.counts}"
            found.load_by_others = load_by_others(before, cpu_times())
