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


def test_a_handful_of_changed_samples_bounds_nothing() -> None:
    sample = np.zeros(1000)
    sample[:3] = -5.0
    assert PairedMeans(sample).bounds(0.05) == (-np.inf, np.inf)
    assert PairedMeans(np.zeros(1000)).bounds(0.05) == (-np.inf, np.inf)


def test_answers_that_did_not_change_leave_the_rule_of_three() -> None:
    low, high = PairedMeans(np.zeros(1000), scale=20.0).bounds(0.05)
    assert -low == high == pytest.approx(20 * 3 / 1000, rel=0.01)


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


def test_independent_intervals_add_their_errors() -> None:
    one = Estimate(0.5, 0.44, 0.56, 0.95, 300, "m")
    other = Estimate(0.6, 0.52, 0.68, 0.95, 200, "m")
    low, high = Independent(one, other).bounds(0.025)
    assert (low, high) == pytest.approx((-0.2, 0.0), abs=1e-9)  # 3-4-5
    relative = Independent(one, other, relative=True)
    assert relative.value == pytest.approx(-1 / 6)
    assert relative.mirrored().value == pytest.approx(1 / 6)


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
