"""A built model's answers beside its framework's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantbench.diagnosis.answers import check_finite, difference
from quantbench.errors import BuildError

RNG = np.random.default_rng(0)


def apart(said: object, meant: object) -> tuple[float, bool]:
    return difference({"out": np.asarray(said)}, {"out": np.asarray(meant)}, "model")


@settings(deadline=None)  # scipy is imported by the first
@given(st.floats(1e-3, 1e3), st.floats(0, 1))
def test_the_difference_is_in_shares_of_the_largest_or_of_one(scale: float, share: float) -> None:
    meant = np.array([[scale, -scale / 2, 0.0]])
    said = meant + np.array([[0.0, share * scale, 0.0]])
    assert apart(said, meant)[0] == pytest.approx(share * scale / max(scale, 1.0), rel=1e-9)


def test_whole_rows_may_swap() -> None:
    """Detections whose scores are nearly equal."""
    rows = RNG.uniform(size=(1, 10, 4))
    order = RNG.permutation(10)
    assert apart(rows[:, order], rows) == (0.0, False)
    assert apart(rows[0, :, 0][order], rows[0, :, 0]) == (0.0, False)


@pytest.mark.parametrize("axes", [(0, 2, 1, 3), (0, 1, 3, 2), (0, 3, 2, 1)])
def test_axes_that_changed_places_are_no_swapped_rows(axes: tuple[int, ...]) -> None:
    meant = RNG.uniform(size=(1, 12, 12, 12))
    error, _ = apart(meant.transpose(axes), meant)
    assert error > 0.1


def test_values_that_are_shuffled_within_rows_are_no_swapped_rows() -> None:
    meant = RNG.uniform(size=(1, 10, 4))
    assert apart(meant[:, :, [1, 0, 2, 3]], meant)[0] > 0.1


def test_what_is_not_finite_differs_by_infinity() -> None:
    assert apart([[np.nan, 1.0]], [[0.0, 1.0]]) == (np.inf, True)
    with pytest.raises(BuildError, match="framework's own output"):
        apart([[0.0]], [[np.inf]])
    with pytest.raises(BuildError, match="1 of 2 values"):
        check_finite({"out": np.array([np.inf, 0.0])}, "model")


def test_an_output_of_nobody_and_another_shape_are_refused() -> None:
    with pytest.raises(BuildError, match="none of the framework's"):
        difference({"other": np.zeros(1)}, {"out": np.zeros(1)}, "model")
    with pytest.raises(BuildError, match="changed its shape"):
        apart(np.zeros((1, 2)), np.zeros((2, 1)))
