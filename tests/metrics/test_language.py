"""Last-word metrics against their closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from quantbench.metrics.language import summarise

ROWS = [
    {"ranks": [0, 0], "logprobs": [-0.5, -1.0]},
    {"ranks": [0, 3], "logprobs": [-0.25, -4.0]},
    {"ranks": [4], "logprobs": [-3.0]},
    {"ranks": [5], "logprobs": [-6.0]},
]


def test_metrics_are_what_their_names_say() -> None:
    found = {name: values[0] for name, values in summarise(ROWS, np.ones((1, 4))).items()}
    assert found == {
        "accuracy": 0.25,  # only the first passage has every token right
        "top1": 0.5,
        "top5": 0.75,
        "perplexity": pytest.approx(math.exp((1.5 + 4.25 + 3.0 + 6.0) / 4)),
    }


def test_rank_five_does_not_count_for_top5() -> None:
    rows = [{"ranks": [4], "logprobs": [-1.0]}, {"ranks": [5], "logprobs": [-1.0]}]
    assert list(summarise(rows, np.eye(2))["top5"]) == [1, 0]


def test_a_weight_is_a_repetition() -> None:
    weights = np.array([[2.0, 0.0, 1.0, 3.0]])
    repeated = [ROWS[0], ROWS[0], ROWS[2], ROWS[3], ROWS[3], ROWS[3]]
    expected = summarise(repeated, np.ones((1, 6)))
    for name, values in summarise(ROWS, weights).items():
        assert values[0] == pytest.approx(expected[name][0])
