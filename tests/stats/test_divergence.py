"""Divergences of lists of the likeliest against scipy's of whole distributions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.special import log_softmax, rel_entr

from quantbench.stats.divergence import divergence, divergences

if TYPE_CHECKING:
    from numpy.typing import NDArray


def listed(logprobs: NDArray[np.float64], most: int) -> tuple[list[int], list[float]]:
    order = np.argsort(-logprobs)[:most]
    return order.tolist(), logprobs[order].tolist()


@example(75248, 59, 1.0)  # one improbable token is left over
@given(st.integers(0, 10**6), st.integers(2, 60), st.floats(0.01, 5))
def test_divergence_is_scipys_over_the_whole_vocabulary_and_never_more(
    seed: int, most: int, apart: float
) -> None:
    rng = np.random.default_rng(seed)
    float_model = log_softmax(rng.normal(0, 2, 60))
    quantized = log_softmax(float_model + rng.normal(0, apart, 60))
    exact = rel_entr(np.exp(float_model), np.exp(quantized)).sum()
    whole = divergence(*listed(quantized, 60), *listed(float_model, 60))
    assert whole == pytest.approx(exact, abs=1e-9)
    merged = divergence(*listed(quantized, most), *listed(float_model, most))
    assert 0 <= merged <= exact + 1e-9
    rounded = (listed(np.round(side, 6), most) for side in (quantized, float_model))
    assert divergence(*next(rounded), *next(rounded)) <= exact + 1e-4


@given(st.integers(0, 10**6), st.integers(1, 59), st.floats(0.01, 5))
def test_tokens_that_one_list_lacks_are_one_outcome_together(
    seed: int, most: int, apart: float
) -> None:
    rng = np.random.default_rng(seed)
    float_model = log_softmax(rng.normal(0, 2, 60))
    quantized = log_softmax(float_model + rng.normal(0, apart, 60))
    lists = listed(quantized, most), listed(float_model, most)
    both = sorted(set(lists[0][0]) & set(lists[1][0]))
    p, q = (
        np.append(np.exp(side[both]), np.exp(np.delete(side, both)).sum())
        for side in (float_model, quantized)
    )
    # What rounding may have taken from the others is given back to them, which lowers it.
    allowed = p[-1] * np.log1p(1e-6 / q[-1])
    found = divergence(*lists[0], *lists[1])
    assert max(rel_entr(p, q).sum() - allowed, 0) - 1e-9 <= found <= rel_entr(p, q).sum() + 1e-9


def test_likeliest_tokens_that_round_to_more_than_everything_are_everything() -> None:
    rounded = [math.log(0.5), math.log(0.50001)]
    everything = divergence([1, 2], rounded, [1, 2], [math.log(0.4), math.log(0.5)])
    expected = 0.4 * math.log(0.8) + 0.5 * math.log(0.5 / 0.50001) + 0.1 * math.log(0.1 / 1e-6)
    assert everything == pytest.approx(expected)


def test_divergence_without_a_common_token_is_a_number() -> None:
    assert divergence([1], [-0.1], [2], [-0.1]) == pytest.approx(0.0)
    assert math.isfinite(divergence([1, 2], [-1e-9, -30.0], [2, 1], [-1e-9, -30.0]))


def test_lists_of_tokens_and_of_probabilities_are_as_long() -> None:
    for lists in (([1, 2], [-0.1], [1], [-0.1]), ([1], [-0.1], [1, 2], [-0.1])):
        with pytest.raises(ValueError, match="shorter"):
            divergence(*lists)


@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(1, 60), st.floats(0, 5))
def test_many_divergences_are_those_of_each(seed: int, most: int, its: int, apart: float) -> None:
    """Lists of any length, in any order, with and without a rest."""
    rng = np.random.default_rng(seed)
    float_model = log_softmax(rng.normal(0, 2, (20, 60)), axis=1)
    quantized = log_softmax(float_model + rng.normal(0, apart, (20, 60)), axis=1)
    lists = [
        [listed(each, n) for each in side] for side, n in ((quantized, most), (float_model, its))
    ]
    columns = [np.array(column) for side in lists for column in zip(*side, strict=True)]
    found = divergences(*columns)
    pairs = zip(*lists, strict=True)
    assert found == pytest.approx([divergence(*mine, *its) for mine, its in pairs], abs=1e-9)
