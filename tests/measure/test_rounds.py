"""Medians of calls: as many rounds as asked for, in turn, and twice where load may come and go."""

from __future__ import annotations

import time

import pytest

from quantbench.measure.peaks import fast_arithmetic, operations_per_s, read_bytes_per_s
from quantbench.measure.rounds import Whole, median_ns, medians_in_turn_ns

ROUNDS = "quantbench.measure.rounds"


class Clock:
    """Time that only calls take."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_ns = 0
        monkeypatch.setattr(f"{ROUNDS}.time.perf_counter_ns", lambda: self.now_ns)
        monkeypatch.setattr(f"{ROUNDS}.time.perf_counter", lambda: self.now_ns / 1e9)

    def call(self, *taken_ns: int) -> Call:
        return Call(self, taken_ns)


class Call:
    """Takes these times one after the other, the last of them ever after."""

    def __init__(self, clock: Clock, taken_ns: tuple[int, ...]) -> None:
        self.clock, self.taken_ns, self.calls = clock, taken_ns, 0

    def __call__(self) -> None:
        self.clock.now_ns += self.taken_ns[min(self.calls, len(self.taken_ns) - 1)]
        self.calls += 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_the_first_three_calls_are_not_timed(clock: Clock) -> None:
    assert median_ns(clock.call(10**9, 10**9, 10**9, 5000), seconds=0.001) == 5000


def test_there_are_as_many_rounds_as_fill_the_time_and_at_least_some(clock: Clock) -> None:
    quick, slow = clock.call(10**6), clock.call(10**9)
    median_ns(quick, seconds=0.0495)
    assert quick.calls == 3 + 50
    median_ns(slow, seconds=0.05, least=5)
    assert slow.calls == 3 + 5
    endless = clock.call(1)
    median_ns(endless, seconds=10, most=100)
    assert endless.calls == 3 + 100


def test_calls_are_timed_in_turn_so_that_all_see_a_burst_of_load(clock: Clock) -> None:
    one, other = clock.call(*[10] * 8, *[90] * 4, 10), clock.call(*[20] * 8, *[180] * 4, 20)
    assert medians_in_turn_ns([one, other], 20) == [10, 20]
    assert one.calls == other.calls == 23


def test_a_burst_during_one_of_two_looks_is_left_out(clock: Clock) -> None:
    whole = Whole(clock.call(*[700] * 8, 100), seconds=0.0)
    assert whole.again_ns() == 100


def test_the_machines_limits_are_those_of_a_machine() -> None:
    """Memory reads less than a cache does; a core adds more than once a tick of its clock."""
    started = time.perf_counter()
    assert 5e8 < read_bytes_per_s(1) < 1e12
    assert 1e9 < operations_per_s(1, fast_arithmetic()) < 1e14
    assert read_bytes_per_s(1) == read_bytes_per_s(1)  # measured once
    assert time.perf_counter() - started < 60
