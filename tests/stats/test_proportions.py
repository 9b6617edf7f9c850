"""Paired proportions against enumeration, closed forms and published values."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from quantbench.stats import proportions
from quantbench.stats.proportions import PairedProportions, wilson


@given(n=st.integers(1, 500), share=st.floats(0, 1), confidence=st.floats(0.5, 0.999))
def test_wilson_is_scipys(n: int, share: float, confidence: float) -> None:
    successes = round(share * n)
    found = wilson(successes, n, confidence)
    expected = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert (found.value, found.confidence, found.n) == (successes / n, confidence, n)


@pytest.mark.parametrize("n", [10, 150, 5000])
def test_no_flip_at_all_leaves_the_rule_of_three(n: int) -> None:
    """P(no loss in n | rate p) = (1 - p)^n = alpha."""
    low, high = PairedProportions(0, 0, n).bounds(0.05)
    assert -low == high == pytest.approx(1 - 0.05 ** (1 / n), rel=2e-3)


def score(losses: int, gains: int, n: int, bound: float) -> float:
    """Tango's, its restricted likelihood maximised by search instead of by formula."""
    shares = np.linspace(max(0.0, -bound), (1 - bound) / 2, 200_001)[1:-1]
    rest = np.clip(1 - 2 * shares - bound, 1e-300, None)
    likelihood = (
        losses * np.log(shares)
        + gains * np.log(np.clip(shares + bound, 1e-300, None))
        + (n - losses - gains) * np.log(rest)
    )
    best = shares[likelihood.argmax()]
    distance: float = ((gains - losses) / n - bound) / ((2 * best + bound - bound**2) / n) ** 0.5
    return distance


@pytest.mark.parametrize(
    ("losses", "gains", "n", "bound"),
    [(60, 40, 500, -0.02), (30, 30, 100, 0.1), (80, 5, 300, -0.3), (55, 0, 900, -0.05)],
)
def test_the_score_is_that_of_the_likeliest_shares(
    losses: int, gains: int, n: int, bound: float
) -> None:
    found = PairedProportions(losses, gains, n).p_at_most(bound)
    assert found == pytest.approx(stats.norm.sf(score(losses, gains, n, bound)), rel=1e-3)


@pytest.mark.parametrize(("losses", "gains", "n"), [(60, 40, 500), (10, 70, 200), (300, 280, 5000)])
def test_the_interval_ends_where_the_score_is_the_normal_quantile(
    losses: int, gains: int, n: int
) -> None:
    low, high = PairedProportions(losses, gains, n).bounds(0.025)
    ends = [
        optimize.brentq(lambda x, z=z: score(losses, gains, n, x) - z, -0.9, 0.9, xtol=1e-5)
        for z in (1.959964, -1.959964)
    ]
    assert (low, high) == pytest.approx(tuple(ends), abs=2e-4)


@pytest.mark.parametrize(
    ("losses", "gains", "n", "bound"),
    [
        *((1, 2, 9, -0.3), (0, 1, 12, -0.2), (5, 9, 30, -0.1), (3, 1, 20, -0.05), (8, 4, 25, 0.0)),
        *((20, 20, 60, -0.05), (25, 24, 60, -0.15), (1, 9, 60, 0.05), (2, 1, 120, -0.06)),
        *((2, 3, 5, -0.2), (0, 4, 4, 0.3), (1, 3, 4, -0.1), (0, 5, 5, 0.9), (4, 0, 4, -0.95)),
    ],
)
def test_the_exact_p_value_is_the_worst_by_enumeration(
    losses: int, gains: int, n: int, bound: float
) -> None:
    """Every outcome of n samples, every flip rate that these flips leave possible."""

    def scored(b: int, c: int) -> float:
        return float(proportions._score(np.asarray(b), np.asarray(c), n, bound))  # noqa: SLF001

    seen = scored(losses, gains)
    as_high = [
        (b, c)
        for b, c in itertools.product(range(n + 1), repeat=2)
        if b + c <= n and scored(b, c) >= seen - 1e-9
    ]
    counts = np.array([(b, c, n - b - c) for b, c in as_high])
    region = stats.binomtest(losses + gains, n).proportion_ci(1 - 1e-6, method="exact")
    low, high = max(region.low, abs(bound)), max(region.high, abs(bound))
    worst = max(
        stats.multinomial.pmf(counts, n, [(f - bound) / 2, (f + bound) / 2, 1 - f]).sum()
        for f in np.linspace(low, high, 400)
    )
    # A coarser grid may miss the worst rate by a little.
    assert PairedProportions(losses, gains, n).p_at_most(bound) == pytest.approx(worst, rel=0.01)


def test_what_is_certain_has_a_p_value_of_one_and_what_is_impossible_of_nearly_none() -> None:
    assert PairedProportions(0, 0, 30).p_at_most(0.0) == 1
    assert PairedProportions(0, 3, 3).p_at_most(1.0) == 1
    assert PairedProportions(3, 3, 6).p_at_most(-1.0) == pytest.approx(1e-6)


def test_one_gain_of_two_has_the_p_value_worked_out_by_hand() -> None:
    """Most likely at 2/3 flips, half of them gains: f (1 - f) + (f / 2)^2."""
    assert PairedProportions(0, 1, 2).p_at_most(0.0) == pytest.approx(1 / 3, abs=1e-3)


def test_from_fifty_flips_on_the_score_is_taken_as_normal() -> None:
    few, many = PairedProportions(29, 20, 400), PairedProportions(30, 20, 400)
    assert few.method.startswith("paired proportions, exact unconditional score test")
    assert many.method == "paired proportions, Tango score"
    normal = [stats.norm.sf(score(p.losses, p.gains, p.n, -0.06)) for p in (few, many)]
    assert many.p_at_most(-0.06) == pytest.approx(normal[1], rel=1e-3)
    assert few.p_at_most(-0.06) != pytest.approx(normal[0], rel=1e-2)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 30), st.integers(0, 30), st.integers(60, 3000))
def test_bounds_hold_the_value_and_turn_with_the_sign(losses: int, gains: int, n: int) -> None:
    pair = PairedProportions(losses, gains, n)
    low, high = pair.bounds(0.05)
    assert low <= pair.value <= high
    assert pair.mirrored().bounds(0.05) == pytest.approx((-high, -low))
    assert low <= pair.bounds(0.2)[0], "less certainty, a narrower interval"


def test_flips_are_counted_by_sample() -> None:
    was = np.array([True, True, True, False, False])
    now = np.array([True, False, False, True, False])
    pair = PairedProportions.of(now, was)
    assert (pair.losses, pair.gains) == (2, 1)
    assert pair.value == pytest.approx(-0.2)
    assert pair.spread == pytest.approx(np.std(now.astype(float) - was))
    assert pair.n == 5
