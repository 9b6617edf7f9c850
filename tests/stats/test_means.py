"""Paired means, times and counts of verdicts, against scipy and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from quantbench.stats.comparison import Estimate, Independent, Known
from quantbench.stats.familywise import holm
from quantbench.stats.means import PairedMeans
from quantbench.stats.times import TimeRatio


def test_symmetric_differences_get_students_interval() -> None:
    half = np.random.default_rng(0).normal(0, 2, 5000)
    sample = np.concatenate([0.3 + half, 0.3 - half])  # no skewness at all
    low, high = PairedMeans(sample).bounds(0.05)
    expected = stats.t.interval(0.9, len(sample) - 1, sample.mean(), stats.sem(sample))
    assert (low, high) == pytest.approx(expected, rel=1e-3)


def test_an_intervals_ends_are_one_sided_bounds() -> None:
    """A 90 % interval is what a gate at 95 % looks at, from either side."""
    pair = PairedMeans(np.random.default_rng(0).normal(0.1, 1.0, 200))
    interval = pair.interval(0.9)
    assert (interval.low, interval.high) == pytest.approx(pair.bounds(0.05))


@pytest.mark.parametrize("alpha", [0.05, 0.005, 0.5])
@pytest.mark.parametrize("seed", range(5))
def test_the_bounds_are_johnsons_on_boxs_degrees_of_freedom(seed: int, alpha: float) -> None:
    sample = 0.3 - np.random.default_rng(seed).gamma(1 + seed, 2.0, size=150 + 50 * seed)
    n = len(sample)
    freedom = min(2 * n / (stats.kurtosis(sample, fisher=False) - 1), n - 1)
    t = stats.t.ppf(1 - alpha, freedom)
    shift = stats.skew(sample) * sample.std(ddof=1) / (6 * n) * (1 + 2 * t**2)
    middle, half = sample.mean() + shift, t * stats.sem(sample)
    pair = PairedMeans(sample)
    assert pair.bounds(alpha) == pytest.approx((middle - half, middle + half), rel=1e-9)
    assert pair.mirrored().bounds(alpha) == pytest.approx((-middle - half, half - middle), rel=1e-9)
    assert pair.value == pytest.approx(sample.mean())
    assert pair.n == n


def test_two_samples_have_a_spread() -> None:
    assert PairedMeans(np.array([1.0, 3.0])).spread == pytest.approx(2**0.5)


def test_nothing_is_claimed_on_fewer_than_25_degrees_of_freedom() -> None:
    """Of differences of plus and minus one, as many as there are samples but one."""
    assert PairedMeans(np.repeat([-1.0, 1.0], [12, 13])).bounds(0.05) == (-np.inf, np.inf)
    sample = np.repeat([-1.0, 1.0], 13)
    low, high = PairedMeans(sample).bounds(0.05)
    assert -low == high == pytest.approx(stats.t.ppf(0.95, 25) * stats.sem(sample))


@pytest.mark.parametrize("sample", [[0.7], [0.1] * 1000, [-0.3] * 7])
def test_a_difference_that_never_varies_bounds_nothing(sample: list[float]) -> None:
    """However much of it is rounding: the next sample may be another."""
    pair = PairedMeans(np.array(sample), scale=20.0)
    assert pair.value == pytest.approx(sample[0])
    assert pair.spread == pytest.approx(0, abs=1e-12)
    assert pair.bounds(0.05) == (-np.inf, np.inf)


def test_a_handful_of_changed_samples_bounds_nothing() -> None:
    sample = np.zeros(1000)
    sample[:3] = -5.0
    assert PairedMeans(sample).bounds(0.05) == (-np.inf, np.inf)
    assert PairedMeans(np.zeros(1000)).bounds(0.05) == (-np.inf, np.inf)


def test_answers_that_did_not_change_leave_the_rule_of_three() -> None:
    pair = PairedMeans(np.zeros(1000), scale=20.0)
    low, high = pair.bounds(0.05)
    assert -low == high == pytest.approx(20 * (1 - 0.05 ** (1 / 1000)))
    assert high == pytest.approx(20 * 3 / 1000, rel=0.01)
    assert pair.mirrored().bounds(0.05) == (low, high)


def test_skewness_moves_the_interval_to_the_long_tail() -> None:
    sample = -np.random.default_rng(1).exponential(size=400)
    low, high = PairedMeans(sample).bounds(0.05)
    assert sample.mean() - low > high - sample.mean()


def test_the_interval_of_times_is_that_of_the_rank_test() -> None:
    """Times scaled to the bound are what Mann and Whitney's test just rejects."""
    rng = np.random.default_rng(2)
    slow, fast = rng.lognormal(0.1, 0.3, 80), rng.lognormal(0, 0.3, 60)
    ratio = TimeRatio(slow, fast)
    low, high = ratio.bounds(0.05)
    for bound, alternative in ((low, "greater"), (high, "less")):
        p = stats.mannwhitneyu(
            slow / (1 + bound),
            fast,
            alternative=alternative,
        ).pvalue
        assert p == pytest.approx(0.05, abs=0.003)
    assert low < ratio.value < high
    assert ratio.mirrored().bounds(0.05) == pytest.approx((-high, -low))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("n", "m"), [(3, 3), (4, 6), (7, 5), (12, 9)])
def test_a_bound_is_the_very_ratio_at_which_the_rank_test_turns(n: int, m: int, seed: int) -> None:
    rng = np.random.default_rng([n, m, seed])
    slow, fast = rng.lognormal(0.1, 0.3, n), rng.lognormal(0, 0.3, m)

    def rejected(ratio: float, alternative: str) -> bool:
        p = float(stats.mannwhitneyu(slow / ratio, fast, alternative=alternative).pvalue)
        return p <= 0.05

    low, high = (1 + end for end in TimeRatio(slow, fast).bounds(0.05))
    step = 1e-7
    assert rejected(low * (1 - step), "greater") and not rejected(low * (1 + step), "greater")
    assert rejected(high * (1 + step), "less") and not rejected(high * (1 - step), "less")


def test_three_rounds_a_side_are_rejected_by_the_most_extreme_order_alone() -> None:
    """One of 20 orders: a p-value of .05, on the bound."""
    slow, fast = np.array([1.2, 1.3, 1.45]), np.array([1.0, 1.11, 1.25])
    assert TimeRatio(slow, fast).bounds(0.05) == (1.2 / 1.25 - 1, 1.45 / 1.0 - 1)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_too_few_rounds_leave_the_bounds_open(n: int) -> None:
    rounds = np.array([1.0 + 0.01 * i for i in range(n)])
    low, high = TimeRatio(2 * rounds, rounds).bounds(0.01)
    assert (low, high) == (-np.inf, np.inf)
    assert TimeRatio(2 * rounds, rounds).p_at_most(0.0) >= 1 / math.comb(2 * n, n) - 1e-12


def test_p_values_of_times_are_the_rank_tests() -> None:
    rng = np.random.default_rng(4)
    slow, fast = rng.lognormal(0.05, 0.1, 12), rng.lognormal(0, 0.1, 10)
    for bound in (-0.1, 0.0, 0.04, 0.2):
        expected = stats.mannwhitneyu(slow / (1 + bound), fast, alternative="greater").pvalue
        assert TimeRatio(slow, fast).p_at_most(bound) == pytest.approx(expected)
        low, _ = TimeRatio(slow, fast).bounds(0.05)
        assert (low > bound) == (expected <= 0.05)
    mirrored = TimeRatio(slow, fast).mirrored()
    expected = stats.mannwhitneyu(slow / 1.3, fast, alternative="less").pvalue
    assert mirrored.p_at_most(-0.3) == pytest.approx(expected)


def test_a_side_that_is_impossible_is_refuted_and_one_that_is_certain_is_not() -> None:
    """No time is negative: a ratio less one is above -1, whatever was measured."""
    ratio = TimeRatio(np.array([1.0, 2.0, 3.0]), np.array([1.5, 2.5]))
    assert ratio.p_at_most(-1.0) == ratio.p_at_most(-2.0) == 0.0
    assert ratio.mirrored().p_at_most(1.0) == ratio.mirrored().p_at_most(2.0) == 1.0


def test_the_value_is_the_median_of_all_pairs_of_rounds() -> None:
    slow, fast = np.array([3.0, 1.0, 2.5]), np.array([2.0, 1.0])
    ratio = TimeRatio(slow, fast)
    expected = float(np.median([a / b for a in slow for b in fast])) - 1
    assert ratio.value == pytest.approx(expected)
    assert ratio.mirrored().value == pytest.approx(-expected)
    assert ratio.mirrored().mirrored().value == pytest.approx(expected)
    assert ratio.n == 2


def test_of_many_rounds_a_thousand_evenly_spaced_are_compared() -> None:
    """The first and the last among them, since a machine may drift."""
    rounds = np.random.default_rng(0).lognormal(0, 0.1, 2998)
    fast = np.random.default_rng(1).lognormal(0, 0.1, 30)
    whole, third = TimeRatio(rounds, fast), TimeRatio(rounds[::3], fast)
    assert len(rounds[::3]) == 1000
    assert (whole.value, whole.bounds(0.05)) == (third.value, third.bounds(0.05))
    assert whole.p_at_most(0.01) == third.p_at_most(0.01)
    assert TimeRatio(fast, rounds).value == TimeRatio(fast, rounds[::3]).value
    assert (whole.n, TimeRatio(fast, rounds).n) == (30, 30)


def test_the_spread_of_a_round_is_read_off_the_interval() -> None:
    """So that twice as many rounds have a spread like it, and an interval narrower by a root."""
    rng = np.random.default_rng(5)
    slow, fast = rng.lognormal(0.1, 0.2, 500), rng.lognormal(0, 0.2, 500)
    ratio = TimeRatio(slow, fast)
    low, high = ratio.bounds(0.05)
    assert ratio.spread == pytest.approx(
        (high - low) / 2 / stats.norm.ppf(0.95) * 500**0.5, rel=1e-3
    )
    # The normal theory of the log ratio: e^.1 times .2 by the root of two.
    assert ratio.spread == pytest.approx(np.exp(0.1) * 0.2 * 2**0.5, rel=0.15)


def test_one_slow_round_does_not_move_a_ratio() -> None:
    rounds = np.random.default_rng(3).normal(1, 0.01, 50)
    hiccup = rounds.copy()
    hiccup[0] = 1000.0
    one, other = (TimeRatio(side, rounds).value for side in (rounds, hiccup))
    assert one == pytest.approx(other, abs=1e-3)


def test_what_is_known_has_no_width() -> None:
    known = Known(-0.25)
    assert known.bounds(0.05) == (-0.25, -0.25)
    assert known.p_at_most(-0.3) == pytest.approx(1e-6, rel=0.02)
    assert known.p_at_most(-0.25) == 1.0
    assert known.mirrored() == Known(0.25)
    assert known.spread == 0
    interval = Known(-0.25, n=7).interval(0.9)
    assert interval == Estimate(-0.25, -0.25, -0.25, 0.9, 7, known.method)


def test_independent_intervals_add_their_errors() -> None:
    one = Estimate(0.5, 0.44, 0.56, 0.95, 300, "m")
    other = Estimate(0.6, 0.52, 0.68, 0.95, 200, "m")
    low, high = Independent(one, other).bounds(0.025)
    assert (low, high) == pytest.approx((-0.2, 0.0), abs=1e-9)  # 3-4-5
    relative = Independent(one, other, relative=True)
    assert relative.value == pytest.approx(-1 / 6)
    assert relative.mirrored().value == pytest.approx(1 / 6)
    assert relative.bounds(0.025) == pytest.approx((-1 / 3, 0.0), abs=1e-9)
    assert relative.mirrored().bounds(0.025) == pytest.approx((0.0, 1 / 3), abs=1e-9)
    assert relative.mirrored().mirrored() == relative
    assert Independent(one, other).n == Independent(other, one).n == 200


def test_a_p_value_is_the_least_alpha_at_which_the_bound_holds() -> None:
    one = Estimate(0.5, 0.44, 0.56, 0.95, 300, "m")
    other = Estimate(0.6, 0.52, 0.68, 0.95, 200, "m")
    error = 0.1 / stats.norm.ppf(0.975)
    for bound in (-0.28, -0.2, -0.1, -0.02, 0.05):
        expected = stats.norm.sf((-0.1 - bound) / error)
        # Within one per cent, and never less than it: a p-value may err to that side alone.
        assert expected <= Independent(one, other).p_at_most(bound) <= 1.011 * expected
    assert Independent(one, other).p_at_most(10.0) == 1.0
    assert Independent(one, other).p_at_most(-10.0) == pytest.approx(1e-6, rel=0.02)


@given(st.lists(st.floats(0.0001, 1), min_size=1, max_size=20))
def test_holm_is_the_step_down_of_its_definition(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    order = np.argsort(p_values, kind="stable")
    for alpha in (0.01, 0.05, 0.2):
        rejected = set()
        for place, index in enumerate(order):
            if p_values[index] > alpha / (len(p_values) - place):
                break
            rejected.add(int(index))
        by_adjusted = {i for i, p in enumerate(adjusted) if p <= alpha * (1 + 1e-12)}
        assert rejected == by_adjusted or math.isclose(
            min(abs(p - alpha) for p in adjusted), 0, abs_tol=1e-9
        )


def test_no_adjusted_p_value_is_above_one() -> None:
    assert holm([0.9, 0.01, 0.6, 0.7]) == [1.0, 0.04, 1.0, 1.0]
    assert holm([]) == []
