"""The betting bounds against the bets themselves, one sample at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from quantbench.stats import sequential
from quantbench.stats.sequential import BettingDifference

some = st.lists(st.sampled_from([-1.0, -0.25, 0.0, 0.5, 1.0]), min_size=1, max_size=60)


def most_ever_held(differences: list[float], bound: float) -> float:
    """By the rules of the game: each stake plays for itself, and the capital is their mean."""
    largest = 1 / (1 + bound)  # more could be lost than is held, at a difference of -1
    purses = [1.0] * len(sequential._STAKES)  # noqa: SLF001 - any stakes would do
    most = 1.0
    for difference in differences:
        purses = [
            purse * (1 + stake * largest * (difference - bound))
            for purse, stake in zip(purses, sequential._STAKES, strict=True)  # noqa: SLF001
        ]
        most = max(most, math.fsum(purses) / len(purses))
    return most


@given(some, st.floats(-0.9, 0.9))
def test_the_capital_is_the_most_that_the_bets_ever_held(
    differences: list[float], bound: float
) -> None:
    found = BettingDifference(np.array(differences)).capital(bound)
    assert found == pytest.approx(most_ever_held(differences, bound), rel=1e-9)


def test_no_stake_can_ruin_and_the_largest_nearly_does() -> None:
    """The worst difference takes a stake whole: all that is left is what was not staked."""
    assert 0 < sequential._STAKES.min() < 0.05  # noqa: SLF001
    assert 0.9 < sequential._STAKES.max() < 1  # noqa: SLF001


@given(some, st.sampled_from([0.01, 0.05, 0.3]))
def test_the_bounds_are_where_the_capital_refutes(differences: list[float], alpha: float) -> None:
    pair = BettingDifference(np.array(differences))
    low, high = pair.bounds(alpha)
    assert -1 <= low <= pair.value <= high <= 1
    assert pair.mirrored().bounds(alpha) == (-high, -low)
    if -1 < pair.value - 1e-6 < low:  # what was shown first is more than the mean has become
        assert most_ever_held(differences, low) >= 1 / alpha * (1 - 1e-4)
    elif low > -1:
        assert most_ever_held(differences, low) == pytest.approx(1 / alpha, rel=1e-4)
        assert pair.p_at_most(low - 1e-4) <= alpha < pair.p_at_most(low + 1e-4)
    else:
        assert most_ever_held(differences, -1 + 1e-9) < 1 / alpha


def test_what_was_shown_once_stays_shown() -> None:
    """Bounds hold at every stop, so that of the first thousand holds for whatever follows."""
    first = [1.0] * 40
    shown = BettingDifference(np.array(first)).bounds(0.05)[0]
    then = BettingDifference(np.array(first + [-1.0] * 40))
    assert then.capital(shown) >= 1 / 0.05 * (1 - 1e-6)
    assert then.bounds(0.05)[0] == pytest.approx(min(shown, then.value), abs=1e-6)


def test_what_nobody_doubts_has_a_p_value_of_one_and_what_is_impossible_of_nearly_none() -> None:
    pair = BettingDifference(np.array([0.0, -1.0, 0.0, 0.0]))
    assert pair.p_at_most(0.9) == 1.0
    same = BettingDifference(np.zeros(10_000))
    assert same.p_at_most(-1.0) < 1e-100
    assert same.bounds(0.05)[0] == pytest.approx(-same.bounds(0.05)[1])


def test_nothing_but_losses_bounds_nothing_from_below() -> None:
    low, high = BettingDifference(np.full(500, -1.0)).bounds(0.05)
    assert low == -1
    assert -1 < high < -0.9


def test_it_says_what_was_seen() -> None:
    pair = BettingDifference(np.array([0.0, -1.0, 1.0, 1.0]))
    assert (pair.n, pair.value) == (4, 0.25)
    assert pair.spread == pytest.approx(np.sqrt(11 / 16))


@pytest.mark.parametrize(
    ("flips", "margin", "most"), [(0.05, 0.02, 2.0), (0.2, 0.05, 2.0), (0.1, 0.04, 2.2)]
)
def test_a_stop_costs_less_than_twice_the_samples_that_would_have_been_enough(
    flips: float, margin: float, most: float
) -> None:
    """On average, against the fixed number that has 80 % power; looks that double cost 2.4 to 2.6.

    Of two models that are equally good, of which flips are the samples that differ.
    """
    from quantbench.store.evidence import blocks

    rng = np.random.default_rng(0)
    enough = (stats.norm.ppf(0.95) + stats.norm.ppf(0.8)) ** 2 * flips / margin**2
    stops = []
    for _ in range(100):
        drawn = rng.choice([-1.0, 1.0, 0.0], size=20_000, p=[flips / 2, flips / 2, 1 - flips])
        looks = (block.stop for block in blocks(len(drawn), growing=True))
        stops.append(
            next(n for n in looks if BettingDifference(drawn[:n]).capital(-margin) >= 1 / 0.05)
        )
    assert np.mean(stops) / enough < most


def test_groups_are_bet_on_whole_and_of_equal_sizes_as_samples_are() -> None:
    rng = np.random.default_rng(3)
    totals = rng.choice([-1.0, 0.0, 1.0], 80, p=[0.1, 0.75, 0.15])
    samples, numbers = np.repeat(totals, 5), np.repeat(np.arange(80), 5)
    by_group = BettingDifference.by_group(samples, numbers)
    assert by_group.bounds(0.05) == pytest.approx(BettingDifference(totals).bounds(0.05))
    assert (by_group.n, by_group.groups) == (400, 80)
    cut = BettingDifference.by_group(samples[:398], numbers)  # the last one is not complete
    assert (cut.n, cut.groups) == (395, 79)
    assert cut.value == pytest.approx(totals[:79].mean())


@pytest.mark.parametrize("correlated", [True, False])
def test_looking_after_every_group_does_not_raise_the_error(*, correlated: bool) -> None:
    """At the margin's edge, groups of unequal sizes that fall together."""
    rng = np.random.default_rng(5)
    wrong = 0
    for _ in range(400):
        sizes = rng.integers(2, 9, 120)
        lost = rng.random(120) < 0.1
        parts = [
            np.full(size, -float(all_lost)) if correlated else -1.0 * (rng.random(size) < 0.1)
            for size, all_lost in zip(sizes, lost, strict=True)
        ]
        pair = BettingDifference.by_group(np.concatenate(parts), np.repeat(np.arange(120), sizes))
        wrong += pair.capital(-0.1) >= 1 / 0.05
    assert wrong / 400 <= 0.05 + 3 * (0.05 * 0.95 / 400) ** 0.5
