"""Sets are selected as by trying all of them, where that can be afforded."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from quantbench.diagnosis.selection import floating_selection

if TYPE_CHECKING:
    from collections.abc import Callable

Names = dict[str, str]
ALL = "abcdef"


def selected(noise: Callable[[str], float], most: int = 4) -> tuple[list[str], list[int]]:
    """Sets as words, names added and given back one by one; and what was told."""
    told: list[int] = []

    def larger(kept: Names) -> list[Names]:
        return [kept | {name: ""} for name in ALL if name not in kept] if len(kept) < most else []

    def smaller(kept: Names) -> list[Names]:
        return [{n: why for n, why in kept.items() if n != name} for name in kept]

    sets = floating_selection(
        larger, smaller, lambda kept: noise("".join(sorted(kept))), told.append
    )
    return ["".join(sorted(names)) for names in sets], told


def test_what_saves_only_together_is_found() -> None:
    sets, _ = selected(
        lambda names: 0.0 if {"c", "e"} <= set(names) else 1.0 - 0.01 * ("c" in names)
    )
    assert "ce" in sets


def test_what_looked_best_alone_is_given_back() -> None:
    """Forward selection keeps `a`, and never sees the best pair, which others make."""
    costs = {"a": 0.5, "b": 0.6, "c": 0.6, "ab": 0.45, "ac": 0.46, "abc": 0.2, "bc": 0.2}

    def noise(names: str) -> float:
        return costs.get(names, 0.9 + 0.01 * ("d" in names))

    sets, _ = selected(noise, most=3)
    assert sets == ["", "a", "bc", "abc"]


@given(st.integers(0, 10_000), st.integers(1, 6))
def test_sums_are_selected_as_by_trying_all(seed: int, most: int) -> None:
    saved = dict(zip(ALL, np.random.default_rng(seed).random(6), strict=True))
    sets, told = selected(lambda names: 6 - sum(saved[name] for name in names), most)
    for size, names in enumerate(sets):
        every = map("".join, itertools.combinations(ALL, size))
        assert names == max(every, key=lambda word: sum(saved[name] for name in word))
    assert sum(told) == len(sets) - 1 == most


@given(st.integers(0, 10_000))
def test_it_ends_whatever_the_noise_and_asks_once(seed: int) -> None:
    rng, asked = np.random.default_rng(seed), list[str]()

    def noise(names: str) -> float:
        asked.append(names)
        return float(rng.integers(4))  # ties too

    sets, _ = selected(noise)
    assert [len(names) for names in sets] == [0, 1, 2, 3, 4]
    assert len(asked) == len(set(asked))


def test_a_region_is_weighed_by_what_each_of_its_names_saves() -> None:
    regions = ({"a": ""}, {"b": "", "c": "", "d": ""})
    saved = {"a": 0.4, "b": 0.2, "c": 0.2, "d": 0.2}
    sets = floating_selection(
        lambda kept: [kept | region for region in regions if not region.keys() <= kept.keys()],
        lambda _: [],
        lambda kept: 1 - sum(saved[name] for name in kept),
        lambda _: None,
    )
    assert [sorted(names) for names in sets] == [[], ["a"], ["a", "b", "c", "d"]]
