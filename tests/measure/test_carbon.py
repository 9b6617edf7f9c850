"""Figures that were worked out by hand."""

from __future__ import annotations

import math

import pytest

from quantbench.measure.carbon import (
    break_even_bounds,
    break_even_inferences,
    grams_co2e,
    grams_co2e_per_million,
)


def test_a_kilowatt_hour_emits_what_the_grid_says() -> None:
    assert grams_co2e(3_600_000, 0.21) == pytest.approx(210)
    assert grams_co2e(0, 0.21) == 0


def test_a_million_inferences_of_half_a_joule_are_139_watt_hours() -> None:
    # 500,000 J are 0.13889 kWh; at 0.21 kg a kWh 29.17 g
    assert grams_co2e_per_million(0.5, 0.21) == pytest.approx(29.1667, rel=1e-5)
    # 4.16 J, README's H200, at 0.4 kg a kWh: 4.16e6 / 3.6e6 * 0.4 kg = 462.2 g
    assert grams_co2e_per_million(4.16, 0.4) == pytest.approx(462.22, rel=1e-4)


def test_a_build_is_paid_back_by_what_is_saved() -> None:
    # 3,000 J built; 2.0 J became 1.25 J: 0.75 J saved, 4,000 inferences
    assert break_even_inferences(3000, 2.0, 1.25) == 4000
    assert break_even_inferences(3001, 2.0, 1.25) == 4002  # 4,001.3 are not enough at 4,001


@pytest.mark.parametrize("joules", [2.0, 2.5])
def test_what_saves_nothing_never_pays(joules: float) -> None:
    assert break_even_inferences(3000, 2.0, joules) == math.inf
    assert break_even_inferences(0, 2.0, joules) == 0


def test_bounds_are_at_the_ends_of_both_intervals() -> None:
    # at best 2.2 - 1.2 = 1 J a call, at worst 1.8 - 1.3 = 0.5 J
    assert break_even_bounds(3000, (1.8, 2.2), (1.2, 1.3)) == (3000, 6000)
    assert break_even_bounds(3000, (1.8, 2.2), (1.2, 1.9)) == (3000, math.inf)


def test_what_no_number_can_count_is_never() -> None:
    assert break_even_inferences(1e308, 2e-308, 1e-308) == math.inf
