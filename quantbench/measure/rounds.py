"""Times of one call, round after round."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_WARM_UP = 3  # calls that are not timed: kernels are chosen, weights packed, caches filled


def median_ns(
    call: Callable[[], object],
    *,
    seconds: float,
    least: int = 5,
    most: int = 1000,
) -> float:
    """Median nanoseconds of one call.

    Args:
        call: what is timed; called three times before.
        seconds: that rounds are taken for.
        least: rounds, however long they take.
        most: rounds, however short they are.
    """
    for _ in range(_WARM_UP):
        call()
    taken: list[int] = []
    ends = time.perf_counter() + seconds
    while len(taken) < least or (len(taken) < most and time.perf_counter() < ends):
        started = time.perf_counter_ns()
        call()
        taken.append(time.perf_counter_ns() - started)
    return float(np.median(taken))


def medians_in_turn_ns(calls: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """Median nanoseconds of each of several calls, one after the other in every round.

    So all see the same load and clock frequency, and their ratios are better than their times.

    Args:
        calls: what is timed; each is called three times before.
        rounds: that are timed.
    """
    taken = np.empty((len(calls), rounds))
    for call in calls:
        for _ in range(_WARM_UP):
            call()
    for place in range(rounds):
        for i, call in enumerate(calls):
            started = time.perf_counter_ns()
            call()
            taken[i, place] = time.perf_counter_ns() - started
    return [float(median) for median in np.median(taken, axis=1)]


class Whole:
    """The time of a call, taken twice with other work in between: a burst of load spoils one."""

    def __init__(self, call: Callable[[], object], seconds: float, least: int = 5) -> None:
        """Take it for the first time, as `median_ns`."""
        self._call, self._seconds, self._least = call, seconds, least
        self._first_ns = self._median_ns()

    def again_ns(self) -> float:
        """Take it for the second time; the smaller of both medians."""
        return min(self._first_ns, self._median_ns())

    def _median_ns(self) -> float:
        return median_ns(self._call, seconds=self._seconds, least=self._least)
