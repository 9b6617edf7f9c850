"""Seconds of a step: by the line of its backend, corrected by what was seen here."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantbench.protocols import PREDICT, Rate
from quantbench.run.planning.estimating import Work, seconds_of
from quantbench.run.planning.learning import Seen

LINE = Rate(fixed_s=10, parameter_s=1e-6, sample_s=1e-9, measured="another machine")
WORK = Work("packer", "int4", 2_000_000, samples=100)
SEEN = Seen(
    step="packer", of="int4", model="a", parameters=1_000_000, samples=100, size=1.0,
    seconds=2 * LINE.seconds(1_000_000, 100), peak_bytes=None, written_bytes=1,
)  # fmt: skip
RATES = st.builds(
    Rate,
    fixed_s=st.floats(0, 100),
    parameter_s=st.floats(0, 1e-6),
    sample_s=st.floats(0, 1e-9),
    each_s=st.floats(0, 1),
)


def test_without_a_line_and_without_having_seen_it_nothing_is_known() -> None:
    seconds, rests_on = seconds_of(WORK, None, [])
    assert seconds is None
    assert rests_on.startswith("unknown")


def test_the_shipped_line_names_its_machine() -> None:
    assert seconds_of(WORK, LINE, []) == (LINE.seconds(2_000_000, 100), "another machine")


def test_a_machine_that_took_twice_as_long_is_planned_with_twice_as_long() -> None:
    seconds, rests_on = seconds_of(WORK, LINE, [SEEN])
    assert seconds == pytest.approx(2 * LINE.seconds(2_000_000, 100))
    assert rests_on == "measured here"


def test_the_same_scheme_on_as_many_weights_outweighs_all_others() -> None:
    same = replace(SEEN, parameters=2_000_000, seconds=77.0)
    other = replace(SEEN, of="int8", seconds=1e6)
    assert seconds_of(WORK, LINE, [SEEN, same, other])[0] == pytest.approx(77)


def test_without_a_line_seconds_grow_with_weights_and_of_predictions_with_samples() -> None:
    assert seconds_of(WORK, None, [SEEN])[0] == pytest.approx(2 * SEEN.seconds)
    predicted = replace(SEEN, step=PREDICT, samples=50, seconds=3.0)
    work = Work(PREDICT, "int4", 1_000_000, samples=200)
    assert seconds_of(work, None, [predicted])[0] == pytest.approx(12)


def test_what_another_step_took_says_nothing() -> None:
    assert seconds_of(WORK, None, [replace(SEEN, step="other")])[0] is None


@given(
    rate=RATES,
    parameters=st.integers(1, 10**11),
    samples=st.integers(0, 10**5),
    more=st.integers(1, 10**5),
    size=st.floats(1, 1e6),
)
def test_more_samples_are_never_faster(
    rate: Rate, parameters: int, samples: int, more: int, size: float
) -> None:
    work = Work("packer", "int4", parameters, samples, size)
    for seen in ([], [SEEN]):
        few, _ = seconds_of(work, rate, seen)
        many, _ = seconds_of(replace(work, samples=samples + more), rate, seen)
        assert few is not None
        assert many is not None
        assert few <= many
