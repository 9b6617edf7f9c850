"""Last-word metrics against their closed forms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from quantbench.tasks.last_word.metrics import agreement, summarise

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
