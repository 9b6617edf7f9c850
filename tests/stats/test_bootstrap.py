"""The bootstrap: what it resamples, and what it makes of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from quantbench.stats.bootstrap import PairedBootstrap, percentile_estimate, resampling_weights


def test_the_first_row_is_the_samples_as_they_are_and_each_other_a_draw() -> None:
    weights = resampling_weights(17, 50, seed=3)
    assert (weights[0] == 1).all()
    assert (weights.sum(axis=1) == 17).all()
    assert (weights == np.round(weights)).all()


def test_the_same_seed_pairs_two_models() -> None:
    first = resampling_weights(30, 20, seed=1).copy()
    resampling_weights.cache_clear()
    assert np.array_equal(first, resampling_weights(30, 20, seed=1))
    assert not np.array_equal(first, resampling_weights(30, 20, seed=2))


def test_undefined_replicates_are_counted_in_the_method() -> None:
    values = np.array([0.5, 0.4, np.nan, 0.6, np.nan])
    method = percentile_estimate(values, 10, 0.9).method
    assert method.startswith("percentile bootstrap, 4 replicates, 2 undefined, bias")


def test_an_undefined_metric_has_no_interval() -> None:
    estimate = percentile_estimate(np.full(10, np.nan), 10, 0.9)
    assert estimate.method == "undefined"
    assert np.isnan([estimate.value, estimate.low, estimate.high]).all()


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=200))
def test_the_percentile_interval_is_numpys(replicates: list[float]) -> None:
    values = np.array([0.0, *replicates])
    estimate = percentile_estimate(values, 10, 0.9)
    expected = np.quantile(replicates, [0.05, 0.95])
    assert (estimate.low, estimate.high) == pytest.approx(tuple(expected))


def test_the_bounds_are_near_scipys_bca() -> None:
    """On a skewed mean; scipy's acceleration is a jackknife's, ours the influences'."""
    rng = np.random.default_rng(5)
    sample = rng.exponential(size=120)
    found = PairedBootstrap(resampling_weights(120) @ sample / 120, 120).interval(0.9)
    expected = stats.bootstrap(
        (sample,), np.mean, confidence_level=0.9, n_resamples=20_000, method="BCa", rng=rng
    ).confidence_interval
    assert found.low == pytest.approx(expected.low, abs=0.02)
    assert found.high == pytest.approx(expected.high, abs=0.03)


def test_without_any_change_the_bound_is_the_rule_of_three() -> None:
    """One minus alpha^(1/n): what n unchanged samples leave possible (3/n at 95 %)."""
    low, high = PairedBootstrap(np.zeros(1001), 150).bounds(0.05)
    assert -low == high == pytest.approx(1 - 0.05 ** (1 / 150))
    assert high == pytest.approx(3 / 150, rel=0.02)


def test_a_p_value_is_never_less_than_the_draws_can_show() -> None:
    sample = np.random.default_rng(0).normal(0, 0.1, 100)
    pair = PairedBootstrap(resampling_weights(100) @ sample / 100, 100)
    assert pair.p_at_most(-5.0) == pytest.approx(1 / 1001)
    assert pair.bounds(1e-4)[0] < pair.bounds(0.01)[0], "beyond the draws, still wider"


def test_mirrored_is_the_same_the_other_way_round() -> None:
    sample = np.random.default_rng(0).normal(0.1, 1, 100)
    one = PairedBootstrap(resampling_weights(100) @ sample / 100, 100)
    low, high = one.bounds(0.05)
    mirrored = one.mirrored().bounds(0.05)
    assert mirrored == pytest.approx((-high, -low), abs=2e-3)
