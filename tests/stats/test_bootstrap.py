"""The bootstrap: what it resamples, and what it makes of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantbench.stats.bootstrap import percentile_estimate, resampling_weights


def test_the_first_row_is_the_samples_as_they_are_and_each_other_a_draw() -> None:
    weights = resampling_weights(17, 50, seed=3)
    assert (weights[0] == 1).all()
    assert (weights.sum(axis=1) == 17).all()
    assert (weights == np.round(weights)).all()
    assert weights.shape == (51, 17)
    assert len(np.unique(weights, axis=0)) == 51
    with pytest.raises(ValueError, match="read-only"):  # the next caller gets the same
        weights[1, 0] = 5


def test_every_sample_is_as_likely_to_be_drawn() -> None:
    weights = resampling_weights(8, 4000)[1:]
    assert weights.mean(axis=0) == pytest.approx(np.ones(8), abs=4 * (1 / 4000) ** 0.5)
    assert weights.var(axis=0) == pytest.approx(np.full(8, 7 / 8), rel=0.15)


def test_the_same_seed_pairs_two_models() -> None:
    first = resampling_weights(30, 20, seed=1).copy()
    resampling_weights.cache_clear()
    assert np.array_equal(first, resampling_weights(30, 20, seed=1))
    assert not np.array_equal(first, resampling_weights(30, 20, seed=2))


def test_undefined_replicates_are_counted_in_the_method() -> None:
    values = np.array([0.5, 0.6, np.nan, 0.9, np.nan])
    estimate = percentile_estimate(values, 10, 0.9)
    assert estimate.method == "percentile bootstrap, 4 replicates, 2 undefined, bias +0.25"
    assert (estimate.value, estimate.confidence, estimate.n) == (0.5, 0.9, 10)
    method = percentile_estimate(values[[0, 1, 3]], 10, 0.9).method
    assert method == "percentile bootstrap, 2 replicates, bias +0.25"


@pytest.mark.parametrize("defined", [[], [0], [1, 2, 3]])
def test_an_undefined_metric_has_no_interval(defined: list[int]) -> None:
    """Nor one that is defined on the samples as they are alone, or on draws alone."""
    values = np.full(10, np.nan)
    values[defined] = 0.5
    estimate = percentile_estimate(values, 10, 0.9)
    assert (estimate.method, estimate.confidence, estimate.n) == ("undefined", 0.9, 10)
    assert np.isnan([estimate.value, estimate.low, estimate.high]).all()


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=200))
def test_the_percentile_interval_is_numpys(replicates: list[float]) -> None:
    values = np.array([0.0, *replicates])
    estimate = percentile_estimate(values, 10, 0.9)
    expected = np.quantile(replicates, [0.05, 0.95])
    assert (estimate.low, estimate.high) == pytest.approx(tuple(expected))
