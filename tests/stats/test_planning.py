"""The planned numbers of samples hold the power that they claim, by simulation."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy import stats

from quantbench.errors import UsageError
from quantbench.stats.means import PairedMeans
from quantbench.stats.planning import Differences, Flips, margin_for, rounded_up, samples_for
from quantbench.stats.proportions import PairedProportions

ALPHA, STUDIES = 0.05, 2000
PLANS = [  # truth, margin: few flips (the exact test), many (Tango's score)
    (Flips(0.002, 0.002), 0.01),
    (Flips(0.02, 0.02), 0.02),
    (Flips(0.01, 0.03), 0.01),
    (Flips(0.1, 0.08), 0.05),
    (Flips(0.06, 0.05), 0.02),
]


def passes(truth: Flips, n: int, margin: float) -> float:
    """Share of simulated studies that pass, by the test that judges."""

    @cache
    def passed(losses: int, gains: int) -> bool:
        return PairedProportions(losses, gains, n).p_at_most(-margin) <= ALPHA

    shares = [truth.lost, truth.gained, 1 - truth.lost - truth.gained]
    drawn = np.random.default_rng(n).multinomial(n, shares, size=STUDIES)
    return float(np.mean([passed(int(losses), int(gains)) for losses, gains, _ in drawn]))


def off(rate: float) -> float:
    """Three standard errors of a simulated frequency."""
    return float(3 * (rate * (1 - rate) / STUDIES) ** 0.5)


@pytest.mark.slow
@pytest.mark.parametrize(("truth", "margin"), PLANS, ids=str)
def test_a_planned_number_of_samples_has_the_power_that_it_claims(
    truth: Flips, margin: float
) -> None:
    n = samples_for(truth, margin, ALPHA)
    claimed = truth.power(n, margin, ALPHA)
    assert claimed >= 0.8
    assert abs(passes(truth, n, margin) - claimed) <= off(claimed)
    assert passes(truth, n * 3 // 4, margin) < 0.8, "fewer samples would have done"


def test_power_is_that_of_the_test_which_judges() -> None:
    truth, n, margin = Flips(0.03, 0.02), 150, 0.04
    assert abs(passes(truth, n, margin) - truth.power(n, margin, ALPHA)) <= off(0.5)


def test_at_the_margin_power_is_the_error_rate() -> None:
    for n in (200, 2000):
        assert Flips(0.06, 0.02).power(n, 0.04, ALPHA) <= ALPHA + 0.004


def test_thousands_of_flips_have_the_power_of_the_sum() -> None:
    """The approximation takes over at 2,000 flips: on both sides of that power is the same."""
    truth, margin = Flips(0.2, 0.2), 0.02
    summed, approximated = (truth.power(n, margin, ALPHA) for n in (4990, 5010))
    assert abs(summed - approximated) < 0.01


@pytest.mark.parametrize("loss", [0.0, 0.006])
def test_other_metrics_have_the_power_that_they_claim(loss: float) -> None:
    truth, margin = Differences(-loss, 0.03), 0.01
    n = samples_for(truth, margin, ALPHA)
    rng = np.random.default_rng(n)
    lows = [PairedMeans(rng.normal(-loss, 0.03, n)).bounds(ALPHA)[0] for _ in range(600)]
    claimed = truth.power(n, margin, ALPHA)
    assert claimed >= 0.8
    assert abs(np.mean(np.array(lows) > -margin) - claimed) <= 3 * (0.25 / 600) ** 0.5


def test_the_normal_approximation_is_the_known_formula() -> None:
    z = stats.norm.ppf(0.95) + stats.norm.ppf(0.8)
    exact = (z * 0.5 / 0.02) ** 2
    assert samples_for(Differences(0.0, 0.5), 0.02, ALPHA) == rounded_up(exact)


def test_samples_and_margins_are_inverse() -> None:
    truth = Flips(0.02, 0.02)
    margin = margin_for(truth, 200, ALPHA)
    assert samples_for(truth, margin, ALPHA) <= 206
    assert truth.power(200, 0.95 * margin, ALPHA) < 0.8


def test_where_nothing_flips_the_rule_of_three_is_left() -> None:
    assert samples_for(Flips(0, 0), 0.01, ALPHA) == pytest.approx(299, abs=2)


def test_more_gates_and_more_power_need_more_samples() -> None:
    truth = Flips(0.02, 0.02)
    plain = samples_for(truth, 0.05, ALPHA)
    assert samples_for(truth, 0.05, ALPHA / 10) > 1.4 * plain
    assert samples_for(truth, 0.05, ALPHA, power=0.95) > 1.3 * plain


@pytest.mark.parametrize("truth", [Flips(0.05, 0.01), Differences(-0.04, 0.1)], ids=str)
def test_a_loss_beyond_the_margin_needs_no_number(truth: Flips | Differences) -> None:
    with pytest.raises(UsageError, match="no number of samples"):
        samples_for(truth, 0.03, ALPHA)


def test_shares_that_are_none_are_refused() -> None:
    with pytest.raises(UsageError, match="shares"):
        Flips(0.7, 0.7)


@pytest.mark.parametrize(("n", "up"), [(7, 7), (999, 999), (1001, 1010), (12345, 12400)])
def test_numbers_have_three_digits(n: int, up: int) -> None:
    assert rounded_up(n) == up
