"""The betting bounds against the bets themselves, one sample at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    if low > -1:
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
