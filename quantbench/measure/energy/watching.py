"""Counters that begin anew after minutes are read while long work goes on."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING

from quantbench.errors import MeterError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quantbench.protocols import Meter

EVERY_S = 10.0


@contextmanager
def read_meanwhile(meter: Meter, every_s: float = EVERY_S) -> Iterator[None]:
    """Read the counter every so often until the block ends.

    Raises:
        MeterError: a reading failed; raised where the block ends, if it raises nothing itself.
    """
    ended = Event()
    failed: list[MeterError] = []

    def watch() -> None:
        while not ended.wait(every_s):
            try:
                meter.joules()
            except MeterError as error:
                failed.append(error)
                return

    watching = Thread(target=watch, name="quantbench-meter", daemon=True)
    watching.start()
    try:
        yield
    finally:
        ended.set()
        watching.join()
    if failed:
        raise failed[0]
