"""Work that is done once: its joules, or nothing."""

from __future__ import annotations

import pytest

from quantbench.errors import MeterError
from quantbench.measure.energy.spent import SPENT, spent
from tests.measure.energy.fakes import FakeMeter, FakeTime


def test_a_build_is_charged_what_was_drawn_while_it_ran() -> None:
    time = FakeTime()
    meter = FakeMeter(time, watts=20.0)
    time.wait(5.0)
    with spent(lambda: meter) as used:
        time.wait(30.0)
    assert used.joules == pytest.approx(600)
    assert used.as_details()[SPENT]["by"] == "fake: the whole test"


def test_without_a_counter_the_work_is_done_all_the_same() -> None:
    def none() -> FakeMeter:
        raise MeterError("no counter")

    done = []
    with spent(none) as used:
        done.append(1)
    assert (done, used.joules, used.as_details()) == ([1], None, {})


def test_a_counter_that_vanishes_meanwhile_says_nothing_of_the_work() -> None:
    time = FakeTime()
    meter = FakeMeter(time, fails_after=1)
    with spent(lambda: meter) as used:
        time.wait(30.0)
    assert used.joules is None


def test_what_the_work_raises_is_raised() -> None:
    with pytest.raises(ValueError, match="mine"), spent(lambda: FakeMeter(FakeTime())):
        raise ValueError("mine")
