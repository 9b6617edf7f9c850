"""Last-word metrics against their closed forms."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.special import log_softmax, rel_entr

from quantbench.tasks.last_word.metrics import agreement, divergence, summarise

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS = [
    {"ranks": [0, 0], "logprobs": [-0.5, -1.0]},
    {"ranks": [0, 3], "logprobs": [-0.25, -4.0]},
    {"ranks": [4], "logprobs": [-3.0]},
    {"ranks": [5], "logprobs": [-6.0]},
]


def test_metrics_are_what_their_names_say() -> None:
    found = {name: values[0] for name, values in summarise(ROWS, np.ones((1, 4))).items()}
    assert found == {
        "logprob": pytest.approx(-(1.5 + 4.25 + 3.0 + 6.0) / 4),
        "accuracy": 0.25,  # only the first passage has every token right
        "top1": 0.5,
        "top5": 0.75,
        "word_top5": 0.5,  # of the two targets of one token
        "perplexity": pytest.approx(math.exp((1.5 + 4.25 + 3.0 + 6.0) / 4)),
    }


TOP: dict[str, Any] = {"top_ids": [[3, 5]], "top_logprobs": [[-0.5, -1.5]]}


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


def test_top_counts_the_first_token_and_from_rank_nought() -> None:
    rows = [{"ranks": [rank, 9 - rank], "logprobs": [-1.0, -1.0]} for rank in (0, 1, 4, 5)]
    found = summarise(rows, np.eye(4))
    assert found["top1"].tolist() == [1, 0, 0, 0]
    assert found["top5"].tolist() == [1, 1, 1, 0]


def test_a_weight_is_a_repetition() -> None:
    weights = np.array([[2.0, 0.0, 1.0, 3.0]])
    repeated = [ROWS[0], ROWS[0], ROWS[2], ROWS[3], ROWS[3], ROWS[3]]
    expected = summarise(repeated, np.ones((1, 6)))
    for name, values in summarise(ROWS, weights).items():
        assert values[0] == pytest.approx(expected[name][0])


def test_agreement_counts_flips_both_ways_and_choices_right_or_wrong() -> None:
    was = [
        {"ranks": [0], "logprobs": [-1.0], "greedy": [7], **TOP},
        {"ranks": [0], "logprobs": [-1.0], "greedy": [8], **TOP},
        {"ranks": [2], "logprobs": [-5.0], "greedy": [9], **TOP},
        {"ranks": [3], "logprobs": [-5.0], "greedy": [9], **TOP},
    ]
    rows = [
        {"ranks": [0], "logprobs": [-1.5], "greedy": [7], **TOP},
        {"ranks": [1], "logprobs": [-2.5], "greedy": [3], **TOP},
        {"ranks": [0], "logprobs": [-4.0], "greedy": [1], **TOP},
        {"ranks": [3], "logprobs": [-5.0], "greedy": [9], **TOP},
    ]
    found = {name: values[0] for name, values in agreement(rows, was, np.ones((1, 4))).items()}
    assert found == {
        "lost": 0.25,
        "gained": 0.25,
        "first_token_agreement": 0.5,
        "logprob_drift": -0.25,
        "kl_divergence": 0.0,
    }
    itself = agreement(was, was, np.array([[0.0, 3.0, 1.0, 2.0]]))
    assert itself["first_token_agreement"][0] == 1
    assert itself["lost"][0] == itself["gained"][0] == itself["logprob_drift"][0] == 0


def test_agreement_is_on_the_first_token_of_several() -> None:
    def row(*greedy: int) -> dict[str, Any]:
        said = {"ranks": [0] * len(greedy), "logprobs": [-1.0] * len(greedy), "greedy": greedy}
        return said | {name: values * len(greedy) for name, values in TOP.items()}

    rows, was = [row(7, 1), row(7, 1), row(8, 1)], [row(7, 2), row(1, 7), row(1, 1)]
    found = agreement(rows, was, np.eye(3))
    assert found["first_token_agreement"].tolist() == [1, 0, 0]
    with pytest.raises(ValueError, match="shorter"):
        agreement(rows, was[:2], np.eye(3))
    with pytest.raises(ValueError, match="shorter"):
        agreement([row(7, 1)], [row(7)], np.eye(1))
