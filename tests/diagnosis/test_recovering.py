"""Schedules of trainings, and checkpoints that outlive a kill."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from quantbench.diagnosis.recovering.checkpoint import Look, State
from quantbench.diagnosis.recovering.schedule import Schedule

if TYPE_CHECKING:
    from pathlib import Path


def look(held_out: float, step: int = 0) -> Look:
    return Look(step, 8 * step, None, held_out, 0.5, 1.0)


def test_the_rate_rises_and_falls_to_nothing() -> None:
    schedule = Schedule(rate=2.0, warm_up=0.1)
    rates = [schedule.rate_at(step, 100) for step in range(100)]
    assert rates[:3] == pytest.approx([0.2, 0.4, 0.6])
    assert max(rates) == pytest.approx(2.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 0.01


def test_it_ends_with_its_steps_or_when_looks_gain_nothing() -> None:
    schedule, state = Schedule(looks=4, patience=2), State()
    assert schedule.next_look(state, 40) == 0 and not schedule.is_over(state, 40)
    assert [state.add(look(each)) for each in (1.0, 0.5)] == [True, True]
    assert schedule.next_look(state, 40) == 20
    assert not state.add(look(0.6)) and not schedule.is_over(state, 40)
    assert not state.add(look(0.7)) and schedule.is_over(state, 40)
    assert state.best == 1
    assert schedule.is_over(State(step=40, curve=[look(1.0)]), 40)


def test_what_is_held_out_is_at_most_a_quarter() -> None:
    held, others = Schedule(held=32).divided(list(range(40)))
    assert (held, others) == (list(range(10)), list(range(10, 40)))
    assert len(Schedule(held=32).divided(list(range(400)))[0]) == 32


def test_a_checkpoint_gives_back_what_it_was_given(tmp_path: Path) -> None:
    state = State(step=12, curve=[look(1.0), look(0.25, 12)], best=1)
    arrays = {"now.0": np.arange(6, dtype=np.float32).reshape(2, 3)}
    state.save(tmp_path / "kept", arrays)
    found = State.load(tmp_path / "kept")
    assert found is not None and found[0] == state
    assert np.array_equal(found[1]["now.0"], arrays["now.0"])


@pytest.mark.parametrize("content", [b"", b"half a file", b"\x10" + bytes(30)])
def test_a_checkpoint_that_cannot_be_read_is_none(content: bytes, tmp_path: Path) -> None:
    assert State.load(tmp_path / "kept") is None
    (tmp_path / "kept").write_bytes(content)
    assert State.load(tmp_path / "kept") is None


def test_what_was_seen_goes_by_its_unit() -> None:
    assert look(0.5, 3).as_fact("samples") == {
        "step": 3, "samples": 24, "training": None, "held_out": 0.5, "agreement": 0.5,
        "seconds": 1.0,
    }  # fmt: skip
