"""Ranges are what the rules say, on values that numpy counts too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from quantbench.diagnosis.ranges import RULES, grid, observe, rounded, visible
from tests.diagnosis.products import CHAIN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

VALUES = [
    np.random.default_rng(seed).gamma(2, 1 + seed, 4000).astype(np.float32) - 1 for seed in range(4)
]


def trace(values: NDArray[Any]) -> Iterator[tuple[str, NDArray[Any]]]:
    yield "t", values
    yield "twice", 2 * values


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_keeps_zero_and_stays_within_what_was_seen(rule: str) -> None:
    for seen in observe(trace, VALUES).values():
        low, high = RULES[rule](seen)
        least, most = seen.whole
        width = (most - least) / 1000
        assert least - width <= low <= 0 <= high <= most + width


def test_counts_are_numpys_own_and_every_run_is_told() -> None:
    told: list[int] = []
    seen = observe(trace, VALUES, told.append)["t"]
    values = np.stack(VALUES)
    counts, _ = np.histogram(values, len(seen.counts), (values.min(), values.max()))
    assert int(seen.counts.sum()) == values.size
    # Values on an edge between bins may fall to either side.
    assert np.abs(np.cumsum(seen.counts) - np.cumsum(counts)).max() <= values.size * 0.01
    assert sum(told) == 2 * len(VALUES)


def test_rules_are_their_definitions_to_a_bin() -> None:
    values = np.stack(VALUES).astype(np.float64)
    seen = observe(trace, VALUES)["t"]
    bin_width = (values.max() - values.min()) / len(seen.counts)
    assert RULES["minimum and maximum"](seen) == (values.min(), values.max())
    means = RULES["mean minimum and maximum"](seen)
    assert means == pytest.approx((values.min(axis=1).mean(), values.max(axis=1).mean()))
    for share in (0.999, 0.9995, 0.9999):
        ends = [(1 - share) / 2, (1 + share) / 2]
        expected = np.quantile(values, ends, method="inverted_cdf")
        assert np.abs(np.subtract(RULES[f"{100 * share:g} %"](seen), expected)).max() <= bin_width


def test_least_squares_loses_less_than_any_other_rule() -> None:
    values = np.stack(VALUES).astype(np.float64)
    seen = observe(trace, VALUES)["t"]

    def error(rule: str) -> float:
        return float(((values - rounded(values, RULES[rule](seen))) ** 2).sum())

    assert all(error("least squares") <= 1.02 * error(rule) for rule in RULES)


def test_rounding_gives_back_zero_and_clips_beyond_the_ends() -> None:
    within = (-0.7, 1.85)
    step, zero = grid(within)
    assert step == pytest.approx(0.01)
    assert zero == 70
    given = rounded(np.array([0.0, 0.304, 9.0, -9.0]), within)
    assert given == pytest.approx([0.0, 0.30, 1.85, -0.70])


def test_what_no_reader_sees_needs_no_levels() -> None:
    ranges = {"c": (-9.0, 4.0), "d": (-9.0, 4.0), "y": (-9.0, 4.0)}
    assert visible(CHAIN, ranges, {"Tanh": -5.0}) == {**ranges, "d": (-5.0, 4.0)}
    assert visible(CHAIN, ranges, {}) == ranges
