"""Joules of a call, over repeated windows that are long enough for the counter."""

from __future__ import annotations

import itertools
import math
import statistics
from typing import TYPE_CHECKING

from quantbench.errors import MeterError
from quantbench.measure.energy.clock import REAL, Clock
from quantbench.measure.energy.drawn import Energy
from quantbench.measure.energy.load import CpuTimes, cpu_times, load_by_others
from quantbench.measure.energy.watching import read_meanwhile

if TYPE_CHECKING:
    from collections.abc import Callable

    from quantbench.protocols import Meter

_CHANGES, _PATIENCE_S, _LOOK_S = 5, 2.0, 1e-4
_STEPS = 20  # of the counter in a window: each of its ends is off by at most one
_LEAST_WINDOW_S, _IDLE_S = 0.3, 1.0
_SETTLE_S = 0.2  # threads of a runtime wait actively for a while after a call
_MOST_WINDOWS, _FEWEST_WINDOWS, _BUDGET_S = 8, 3, 30.0


def measured(
    call: Callable[[], object],
    open_meter: Callable[[], Meter],
    clock: Clock = REAL,
    times: Callable[[], CpuTimes | None] = cpu_times,
) -> Energy:
    """What a call draws; unavailable, with the reason, where no counter says so.

    First the counter's step is watched and its idle power read. A first window of as many calls as
    fill it is left out; then follow eight such windows (as few as three where calls are so long
    that they would take over half a minute), all of the same number of calls.

    Args:
        call: what is measured, warmed up.
        open_meter: opens the counter.
        clock: the time.
        times: what the processors did so far.
    """
    try:
        return _measured(call, open_meter(), clock, times)
    except MeterError as error:
        return unavailable(error)


def unavailable(error: MeterError) -> Energy:
    """With the reason and the next step, on one line."""
    parts = (error.what, error.got, error.remedy)
    return Energy(reason="; ".join(" ".join(part.split()) for part in parts if part))


def _measured(
    call: Callable[[], object],
    meter: Meter,
    clock: Clock,
    times: Callable[[], CpuTimes | None],
) -> Energy:
    clock.sleep(_SETTLE_S)
    step_s = step_of(meter, clock)
    idle_watts = _idle(meter, clock, max(_IDLE_S, _STEPS * step_s))
    least_s = max(_LEAST_WINDOW_S, _STEPS * step_s)
    started, calls = clock.now(), 0
    with read_meanwhile(meter):
        while not calls or clock.now() - started < least_s:
            call()
            calls += 1
    passed_s = clock.now() - started
    calls = max(math.ceil(calls * least_s / passed_s), 1)
    expected_s = max(passed_s, least_s)
    count = min(max(int(_BUDGET_S / expected_s), _FEWEST_WINDOWS), _MOST_WINDOWS)
    before, started = times(), clock.now()
    with read_meanwhile(meter):
        windows = [_joules_of(lambda: _repeat(call, calls), meter) / calls for _ in range(count)]
    took_s = clock.now() - started
    return Energy(
        "measured",
        by=f"{meter.name}: {meter.counts}",
        windows=tuple(windows),
        seconds=took_s / count / calls,
        idle_watts=idle_watts,
        step_s=step_s,
        window_s=took_s / count,
        load_by_others=load_by_others(before, times()),
    )


def _repeat(call: Callable[[], object], calls: int) -> None:
    for _ in range(calls):
        call()


def _joules_of(block: Callable[[], object], meter: Meter) -> float:
    before = meter.joules()
    block()
    drawn = meter.joules() - before
    if drawn < 0:
        raise MeterError(f"{meter.name} went backwards", got=f"{drawn:g} J in a window")
    return drawn


def step_of(meter: Meter, clock: Clock = REAL) -> float:
    """Seconds between two changes of the counter, the median of five.

    Raises:
        MeterError: it stands still.
    """
    started = clock.now()
    seen = meter.joules()
    changed_s: list[float] = []
    while len(changed_s) <= _CHANGES:
        if clock.now() - started > _PATIENCE_S:
            break
        clock.sleep(_LOOK_S)
        now = meter.joules()
        if now != seen:
            seen = now
            changed_s.append(clock.now())
    steps = [late - early for early, late in itertools.pairwise(changed_s)]
    if not steps:
        raise MeterError(
            f"{meter.name} stands still",
            expected="a counter that moves at least twice in two seconds",
            got=f"{len(changed_s)} changes in {_PATIENCE_S:g} s",
            remedy="state a rate of your own: --quant-watts 15",
        )
    return statistics.median(steps)


def _idle(meter: Meter, clock: Clock, seconds: float) -> float:
    """Watts while this process waits."""
    started = clock.now()
    drawn = _joules_of(lambda: clock.sleep(seconds), meter)
    return drawn / (clock.now() - started)
