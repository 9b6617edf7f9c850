"""Joules of a call: right on a known machine, with an interval that holds, or unavailable."""

from __future__ import annotations

from itertools import cycle

import numpy as np
import pytest

from quantbench.errors import MeterError
from quantbench.measure.energy.drawn import Energy, estimated
from quantbench.measure.energy.load import CpuTimes
from quantbench.measure.energy.windows import measured, step_of
from tests.measure.energy.fakes import FakeMeter, FakeTime


def nobody() -> CpuTimes | None:
    return None


@pytest.mark.parametrize(
    ("step_s", "call_s"), [(0.001, 0.002), (0.001, 0.5), (0.1, 0.003), (0.02, 7.0)]
)
def test_a_call_is_charged_what_it_drew(step_s: float, call_s: float) -> None:
    """5 W idle; a call draws 3 J beside."""
    time = FakeTime()
    meter = FakeMeter(time, watts=5.0, step_s=step_s)

    def call() -> None:
        meter.extra_j += 3.0
        time.wait(call_s)

    found = measured(call, lambda: meter, time.clock, nobody)
    true = 3 + 5 * call_s
    assert found.provenance == "measured"
    assert found.joules == pytest.approx(true, rel=0.06)  # a window has 20 steps
    assert found.idle_watts == pytest.approx(5.0, rel=0.06)
    assert found.seconds == pytest.approx(call_s)
    assert found.step_s == pytest.approx(step_s, rel=0.2)
    assert found.window_s is not None
    assert found.window_s >= max(0.3, 19 * step_s)
    assert 3 <= len(found.windows) <= 8
    assert found.by == "fake: the whole test"


def test_the_first_windows_warmth_is_left_out() -> None:
    time = FakeTime()
    meter = FakeMeter(time, watts=5.0)
    calls = 0

    def call() -> None:
        nonlocal calls
        calls += 1
        meter.extra_j += 100.0 if calls <= 3 else 1.0
        time.wait(0.1)

    found = measured(call, lambda: meter, time.clock, nobody)
    assert found.joules == pytest.approx(1.5, rel=0.02)


def test_long_calls_are_called_no_more_than_needed() -> None:
    time = FakeTime()
    meter, calls = FakeMeter(time), 0

    def call() -> None:
        nonlocal calls
        calls += 1
        time.wait(60.0)

    measured(call, lambda: meter, time.clock, nobody)
    assert calls == 4  # one to look, three windows


def test_the_load_of_others_is_that_of_the_windows() -> None:
    time = FakeTime()
    told = iter([CpuTimes(0, 0, 0), CpuTimes(1000, 400, 150)])
    found = measured(
        lambda: time.wait(0.1), lambda: FakeMeter(time), time.clock, lambda: next(told)
    )
    assert found.load_by_others == 0.25


def test_the_interval_of_windows_that_vary_holds_as_often_as_it_says() -> None:
    """Windows of 2 J a call, 5 % of it at random from window to window: 3,000 machines."""
    random = np.random.default_rng(5)
    held = 0
    for _ in range(3000):
        low, high = Energy("measured", windows=tuple(random.normal(2.0, 0.1, 8))).interval or (0, 0)
        held += low <= 2.0 <= high
    assert held / 3000 == pytest.approx(0.95, abs=3 * (0.95 * 0.05 / 3000) ** 0.5)


def test_the_interval_is_student_s_by_hand() -> None:
    """1, 2, 3: mean 2, standard error 1 / sqrt(3), t of 2 degrees of freedom 4.3027."""
    found = Energy("measured", windows=(1.0, 2.0, 3.0))
    assert found.joules == 2.0
    assert found.interval == pytest.approx((2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5))
    assert Energy("measured", windows=(1.0,)).interval is None
    assert Energy().joules is None
    assert found.per(4).joules == 0.5


def test_a_counter_that_stands_still_or_vanishes_is_unavailable_with_the_reason() -> None:
    time = FakeTime()
    still = FakeMeter(time, step_s=1e9)
    with pytest.raises(MeterError, match="stands still"):
        step_of(still, time.clock)
    found = measured(lambda: time.wait(0.1), lambda: still, time.clock, nobody)
    assert (found.provenance, found.joules) == ("unavailable", None)
    assert "stands still" in found.reason
    assert "--quant-watts" in found.reason
    gone = FakeMeter(time, fails_after=60)
    found = measured(lambda: time.wait(0.1), lambda: gone, time.clock, nobody)
    assert found.provenance == "unavailable"
    assert found.reason == "fake vanished; nothing"


def test_a_meter_that_goes_backwards_is_no_negative_energy() -> None:
    time = FakeTime()
    meter, calls = FakeMeter(time), cycle([1.0])

    def call() -> None:
        meter.extra_j -= 50 * next(calls)
        time.wait(0.1)

    found = measured(call, lambda: meter, time.clock, nobody)
    assert (found.provenance, found.windows) == ("unavailable", ())
    assert "backwards" in found.reason


def test_where_no_counter_is_nothing_is_called() -> None:
    def none() -> FakeMeter:
        raise MeterError("no counter", remedy="buy one")

    found = measured(lambda: pytest.fail("called"), none)
    assert found == Energy(reason="no counter; buy one")


def test_an_estimate_is_wall_time_times_the_rate_that_was_stated() -> None:
    found = estimated([0.1, 0.2, 0.3], 15.0)
    assert found.provenance == "estimated"
    assert found.joules == pytest.approx(0.2 * 15)
    assert found.windows == pytest.approx((1.5, 3.0, 4.5))
    assert "15 W" in found.by


def test_rounds_that_follow_each_other_are_put_together() -> None:
    """Slow and fast spells of ten rounds: 100 rounds are ten observations, not a hundred."""
    rounds = np.repeat(np.random.default_rng(1).normal(1.0, 0.1, 10), 10)
    found = estimated(rounds.tolist(), 1.0)
    assert len(found.windows) == 10
    low, high = found.interval or (0, 0)
    alone = Energy("estimated", windows=tuple(rounds)).interval or (0, 0)
    assert high - low > 3 * (alone[1] - alone[0])


def test_an_estimate_s_interval_holds_where_rounds_come_in_spells() -> None:
    random = np.random.default_rng(7)
    held = 0
    for _ in range(2000):
        spells = np.repeat(random.normal(1.0, 0.1, 10), 30)
        low, high = estimated((spells + random.normal(0, 0.02, 300)).tolist(), 1.0).interval or (
            0,
            0,
        )
        held += low <= 1.0 <= high
    assert held / 2000 == pytest.approx(0.95, abs=3 * (0.95 * 0.05 / 2000) ** 0.5)
