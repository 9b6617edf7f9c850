"""Times of one call, round after round."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

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
