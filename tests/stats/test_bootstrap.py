"""The bootstrap: what it resamples, and that its error rates are what it says."""

from __future__ import annotations

import numpy as np
import pytest

from quantbench.stats.bootstrap import Estimate, percentile_estimate, resampling_weights
from quantbench.stats.gates import outcome_of
from quantbench.stats.paired import paired_difference
from quantbench.study import Gate


def test_the_first_weights_are_the_samples_and_the_others_draws_of_the_same_size() -> None:
    weights = resampling_weights(50, 200, seed=0)
    assert weights.shape == (201, 50)
    assert (weights[0] == 1).all()
    assert (weights.sum(axis=1) == 50).all()
    assert weights[1:].mean() == pytest.approx(1)
    assert weights[1:].var() == pytest.approx(1 - 1 / 50, rel=0.1)  # multinomial


def test_two_models_see_the_same_draws() -> None:
    np.testing.assert_array_equal(resampling_weights(9, 5, seed=3), resampling_weights(9, 5, 3))


def test_an_undefined_metric_is_undefined_and_not_nan_with_an_interval() -> None:
    estimate = percentile_estimate(np.full(11, np.nan), 10, 0.95)
    assert estimate.method == "undefined"
    assert np.isnan([estimate.value, estimate.low, estimate.high]).all()


def test_undefined_replicates_are_counted_in_the_method() -> None:
    values = np.array([0.5, 0.4, np.nan, 0.6, np.nan])
    assert percentile_estimate(values, 10, 0.9).method.endswith("4 replicates, 2 undefined")


@pytest.mark.parametrize(
    ("low", "high", "lower_is_better", "outcome"),
    [
        (-0.01, 0.01, False, "pass"),
        (-0.05, -0.03, False, "fail"),
        (-0.03, 0.01, False, "inconclusive"),
        (-0.02, 0.01, False, "inconclusive"),  # the bound must be above the margin, not on it
        (-0.01, 0.01, True, "pass"),
        (0.03, 0.05, True, "fail"),
        (-0.05, -0.03, True, "pass"),  # a lower perplexity is no loss
        (-0.01, 0.03, True, "inconclusive"),
    ],
)
def test_the_three_outcomes(low: float, high: float, lower_is_better: bool, outcome: str) -> None:  # noqa: FBT001
    gate = Gate("metric", 0.02, lower_is_better=lower_is_better)
    assert outcome_of(Estimate((low + high) / 2, low, high, 0.9, 100, "test"), gate) == outcome


def paired_studies(n: int, studies: int, loss: float, flips: float) -> tuple[list[Estimate], float]:
    """Differences of simulated paired accuracies whose true difference is -loss."""
    rng = np.random.default_rng([n, studies])
    worse, better = (flips + loss) / 2, (flips - loss) / 2
    estimates = []
    weights = resampling_weights(n, 1000, seed=0)
    for _ in range(studies):
        kind = rng.choice(3, size=n, p=[worse, better, 1 - worse - better])
        difference = np.select([kind == 0, kind == 1], [-1.0, 1.0])
        values = weights @ difference / n
        estimates.append(paired_difference(values, np.zeros_like(values), n, 0.9))
    return estimates, -loss


@pytest.mark.slow
@pytest.mark.parametrize(("n", "flips"), [(200, 0.2), (500, 0.1), (500, 0.2), (1000, 0.05)])
def test_at_the_margin_a_pass_is_as_rare_as_stated(n: int, flips: float) -> None:
    """The true loss equals the margin, so every pass is false: at most 5 % plus 3 s.e.

    The percentile bootstrap keeps this only where enough samples flip (here 40 or more): it is
    not used below that without saying so in README's limits.
    """
    studies = 1000
    estimates, _ = paired_studies(n, studies, loss=0.02, flips=flips)
    passes = sum(outcome_of(e, Gate("accuracy", 0.02)) == "pass" for e in estimates)
    standard_error = (0.05 * 0.95 / studies) ** 0.5
    # one step of 1/n is the granularity of a percentile interval on proportions
    assert passes / studies <= 0.05 + 3 * standard_error + 0.01


@pytest.mark.slow
def test_the_interval_covers_the_truth_as_often_as_stated() -> None:
    studies = 1000
    estimates, truth = paired_studies(500, studies, loss=0.02, flips=0.2)
    covered = sum(e.low <= truth <= e.high for e in estimates)
    standard_error = (0.9 * 0.1 / studies) ** 0.5
    assert abs(covered / studies - 0.9) <= 3 * standard_error + 0.01
