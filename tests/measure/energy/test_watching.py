"""Long work does not outlast what a counter can hold."""

from __future__ import annotations

import time

import pytest

from quantbench.errors import MeterError
from quantbench.measure.energy.watching import read_meanwhile
from tests.measure.energy.fakes import FakeMeter, FakeTime


def test_the_counter_is_read_while_the_work_goes_on() -> None:
    meter = FakeMeter(FakeTime())
    with read_meanwhile(meter, every_s=0.01):
        time.sleep(0.3)
    assert meter.reads > 5
    reads = meter.reads
    time.sleep(0.05)
    assert meter.reads == reads, "it goes on after the end"


def test_a_reading_that_failed_is_raised_at_the_end() -> None:
    with (
        pytest.raises(MeterError, match="vanished"),
        read_meanwhile(FakeMeter(FakeTime(), fails_after=2), every_s=0.01),
    ):
        time.sleep(0.3)


def test_the_work_s_own_error_comes_first() -> None:
    def work() -> None:
        time.sleep(0.1)
        raise ValueError("mine")

    broken = FakeMeter(FakeTime(), fails_after=0)
    with pytest.raises(ValueError, match="mine"), read_meanwhile(broken, every_s=0.01):
        work()
