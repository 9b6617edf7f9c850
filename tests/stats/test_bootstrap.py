"""The bootstrap: what it resamples, and what it makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from quantbench.stats.bootstrap import PairedBootstrap, percentile_estimate, resampling_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Sample = NDArray[np.float64]


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


def of_mean(sample: Sample, draws: int = 1000) -> PairedBootstrap:
    n = len(sample)
    return PairedBootstrap(resampling_weights(n, draws) @ sample / n, n)


def bca_of_mean(sample: Sample, alpha: float, draws: int) -> tuple[float, float]:
    """As the docstring has it, of a mean: there acceleration and kurtosis have closed forms."""
    n, value = len(sample), sample.mean()
    means = (resampling_weights(n, draws) @ sample / n)[1:]
    bias = stats.norm.ppf(((means < value).mean() + (means <= value).mean()) / 2)
    acceleration = stats.skew(sample) / 6 / n**0.5
    freedom = min(2 * n / (stats.kurtosis(sample, fisher=False) - 1), n - 1)
    ends = []
    for z in (stats.norm.ppf(alpha), stats.norm.ppf(1 - alpha)):
        share = stats.norm.cdf(bias + (bias + z) / (1 - acceleration * (bias + z)))
        stretch = stats.t.ppf(stats.norm.cdf(z), freedom) / z
        ends.append(value + stretch * (np.quantile(means, share) - value))
    unseen = 1 - alpha ** (1 / n) if freedom < 20 else 0.0
    return ends[0] - unseen, ends[1] + unseen


def handful(n: int, changed: int) -> Sample:
    return np.repeat([-1.0, 0.0], [changed, n - changed])


@pytest.mark.parametrize(
    "sample",
    [
        np.array([-1.0, -0.62, -0.13, 0.21, 0.58, 1.03]),
        np.random.default_rng(1).normal(0.2, 1, 60),
        np.random.default_rng(2).exponential(size=100),
        -np.random.default_rng(3).exponential(size=300),
        handful(400, 20),  # 42 degrees of freedom
        handful(400, 6),  # 12: what was not seen is allowed for
    ],
    ids=["six", "normal", "gains", "losses", "twenty", "handful"],
)
@pytest.mark.parametrize("alpha", [0.1, 0.025])
def test_the_bounds_of_a_mean_are_those_of_the_formulas(sample: Sample, alpha: float) -> None:
    error = stats.sem(sample)
    found = of_mean(sample, 6_000).bounds(alpha)
    assert found == pytest.approx(bca_of_mean(sample, alpha, 6_000), abs=0.07 * error)


def test_the_draws_noise_is_no_kurtosis() -> None:
    """Of few draws, on average: 2 n / (kurtosis - 1) degrees of freedom."""
    rng = np.random.default_rng(7)
    samples = [rng.exponential(size=200) for _ in range(60)]
    found = [1 / of_mean(sample, 200)._shape[2] for sample in samples]  # noqa: SLF001
    expected = [(stats.kurtosis(sample, fisher=False) - 1) / 400 for sample in samples]
    assert np.mean(found) == pytest.approx(np.mean(expected), rel=0.06)


def test_beyond_the_draws_the_bounds_are_at_least_as_wide_as_the_normal_ones() -> None:
    sample = np.random.default_rng(1).normal(0.2, 1, 100)
    pair = of_mean(sample)
    for alpha in (1e-3, 1e-6):
        half = stats.norm.isf(alpha) * sample.std() / 10
        low, high = pair.bounds(alpha)
        assert low < pair.value - 0.95 * half and high > pair.value + 0.95 * half
        assert high - low < 3 * half
    low, high = pair.bounds(0.5)
    assert low <= pair.value <= high and high - low < 0.05


@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize("skew", [-1, 1])
def test_draws_that_lie_to_one_side_of_the_value_still_bound_it(skew: int, side: int) -> None:
    """As of a metric that repeated samples can only lower."""
    draws = skew * np.random.default_rng(0).normal(0, 0.01, 1000)
    low, high = PairedBootstrap(np.array([side * 0.1, *draws]), 200).bounds(0.05)
    assert -0.2 < low <= side * 0.1 <= high < 0.2


@pytest.mark.parametrize("value", [1000.0, 0.3, 0.0])
def test_what_only_rounding_moves_is_no_change(value: float) -> None:
    step = max(np.spacing(value), 1e-17)
    replicates = value + np.resize([0.0, step, -step, 5 * step], 1001)
    low, high = PairedBootstrap(replicates, 150).bounds(0.05)
    unseen = 1 - 0.05 ** (1 / 150)
    assert (low, high) == pytest.approx((value - unseen, value + unseen))


def test_undefined_draws_are_left_out() -> None:
    sample = np.random.default_rng(4).exponential(size=80)
    replicates = (resampling_weights(80) @ sample / 80).copy()
    replicates[1::5] = np.nan
    pair = PairedBootstrap(replicates, 80)
    whole = of_mean(sample)
    error = stats.sem(sample)
    assert pair.bounds(0.05) == pytest.approx(whole.bounds(0.05), abs=0.2 * error)
    assert pair.method.startswith("paired bootstrap, BCa, 800 draws, bias ")
    assert pair.spread == pytest.approx(sample.std(), rel=0.1)


def test_the_bias_is_named() -> None:
    pair = PairedBootstrap(np.array([0.5, 0.6, 0.9, 0.9]), 3)
    assert pair.method == "paired bootstrap, BCa, 3 draws, bias +0.3"
    undefined = PairedBootstrap(np.full(4, np.nan), 3)
    assert undefined.method == "paired bootstrap, BCa, 0 draws, bias +0"


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
