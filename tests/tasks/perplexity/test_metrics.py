"""Metrics of windows against closed forms and scipy's; influences against leaving windows out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.special import log_softmax, rel_entr

from quantbench.data.packed import pack
from quantbench.stats.influence import numeric_influence
from quantbench.tasks.perplexity.metrics import agreement, likelihood
from quantbench.tasks.perplexity.task import Perplexity

if TYPE_CHECKING:
    from quantbench.protocols import Row

VOCABULARY, SCORED = 30, 11


def row(number: int, seed: int, apart: float = 0.0) -> tuple[Row, Any]:
    """A window's row with the whole vocabulary in its lists, and its distributions."""
    base = np.random.default_rng(seed + 100 * number).normal(0, 2, (SCORED, VOCABULARY))
    noise = np.random.default_rng(seed + 100 * number + 7).normal(0, 1, base.shape)
    said = log_softmax(base + apart * noise, axis=1)
    targets = np.random.default_rng(number).integers(0, VOCABULARY, SCORED)
    order = np.argsort(-said, axis=1)
    places = np.arange(SCORED)
    numbers = {
        "logprobs": pack(said[places, targets], "float32"),
        "ranks": pack([(said[i] > said[i, t]).sum() for i, t in enumerate(targets)], "int32"),
        "greedy": pack(order[:, 0], "int32"),
        "top_ids": pack(order, "int32"),
        "top_logprobs": pack(np.take_along_axis(said, order, axis=1), "float32"),
    }
    sized = {"id": f"w{number}", "scored": SCORED, "bytes": 30 + 5 * number}
    return {**sized, **numbers}, (said, targets)


def rows(n: int, apart: float = 0.0) -> tuple[list[Row], list[Any]]:
    pairs = [row(i, 3, apart) for i in range(n)]
    return [each for each, _ in pairs], [known for _, known in pairs]


def test_likelihoods_are_means_over_all_scored_tokens() -> None:
    found, known = rows(5)
    logprobs = np.concatenate([said[range(SCORED), targets] for said, targets in known])
    right = np.concatenate([said.argmax(axis=1) == targets for said, targets in known])
    summed = {k: v[0] for k, v in likelihood.summarise(found, np.ones((1, 5))).items()}
    assert summed == {
        "logprob": pytest.approx(logprobs.mean(), rel=1e-6),
        "top1": pytest.approx(right.mean()),
        "perplexity": pytest.approx(math.exp(-logprobs.mean()), rel=1e-6),
        "bits_per_byte": pytest.approx(
            -logprobs.sum() / math.log(2) / (30 + 35 + 40 + 45 + 50), rel=1e-6
        ),
    }


def test_agreement_is_that_of_whole_distributions() -> None:
    (found, now), (was, before) = rows(4, apart=0.6), rows(4)
    kl, same, shift, drift = [], [], [], []
    for (said, targets), (meant, _) in zip(now, before, strict=True):
        kl += rel_entr(np.exp(meant), np.exp(said)).sum(axis=1).tolist()
        same += (said.argmax(1) == meant.argmax(1)).tolist()
        both = [each[range(SCORED), targets] for each in (said, meant)]
        shift += (np.exp(both[0]) - np.exp(both[1])).tolist()
        drift += (both[0] - both[1]).tolist()
    agreed = {k: v[0] for k, v in agreement.agreement(found, was, np.ones((1, 4))).items()}
    assert agreed == {
        "kl_divergence": pytest.approx(np.mean(kl), abs=1e-5),
        "top1_agreement": pytest.approx(np.mean(same)),
        "probability_shift": pytest.approx(np.mean(shift), abs=1e-7),
        "probability_shift_rms": pytest.approx(math.sqrt(np.mean(np.square(shift))), abs=1e-7),
        "logprob_drift": pytest.approx(np.mean(drift), abs=1e-6),
        "perplexity_ratio": pytest.approx(math.exp(-np.mean(drift)), abs=1e-6),
    }


def test_a_model_agrees_with_itself() -> None:
    found, _ = rows(3)
    agreed = {k: v[0] for k, v in agreement.agreement(found, found, np.ones((1, 3))).items()}
    assert agreed.pop("kl_divergence") == pytest.approx(0, abs=1e-12)
    assert agreed == {
        "top1_agreement": 1,
        "probability_shift": 0,
        "probability_shift_rms": 0,
        "logprob_drift": 0,
        "perplexity_ratio": 1,
    }
    moved = agreement.influence("probability_shift_rms", found, found)
    assert moved is not None
    assert not moved.change.any()


def test_a_weight_is_a_repetition() -> None:
    (found, _), (was, _) = rows(4, apart=0.6), rows(4)
    weights, picked = np.array([[2.0, 0.0, 1.0, 3.0]]), [0, 0, 2, 3, 3, 3]
    mine, its = ([each[i] for i in picked] for each in (found, was))
    expected = likelihood.summarise(mine, np.ones((1, 6)))
    expected |= agreement.agreement(mine, its, np.ones((1, 6)))
    weighted = likelihood.summarise(found, weights) | agreement.agreement(found, was, weights)
    assert weighted.keys() == expected.keys()
    for name, values in weighted.items():
        assert values == pytest.approx(expected[name])


@pytest.mark.parametrize("metric", ["perplexity", "bits_per_byte"])
def test_influences_are_those_of_leaving_a_window_out(metric: str) -> None:
    found, _ = rows(200)
    moved = likelihood.influence(metric, found)
    assert moved is not None
    left_out = numeric_influence(lambda w: likelihood.summarise(found, w)[metric], 200)
    most = np.abs(moved.change).max()
    assert moved.change == pytest.approx(left_out.change, abs=0.02 * most)
    assert moved.change.sum() == pytest.approx(0, abs=1e-9)
    (value,) = likelihood.summarise(found, np.ones((1, 200)))[metric]
    assert 0 <= moved.least < value < moved.most


@pytest.mark.parametrize("metric", ["perplexity_ratio", "probability_shift_rms"])
def test_influences_of_agreement_are_those_of_leaving_a_window_out(metric: str) -> None:
    (found, _), (was, _) = rows(200, apart=0.4), rows(200)
    moved = agreement.influence(metric, found, was)
    assert moved is not None
    left_out = numeric_influence(lambda w: agreement.agreement(found, was, w)[metric], 200)
    most = np.abs(moved.change).max()
    assert moved.change == pytest.approx(left_out.change, abs=0.02 * most)
    (value,) = agreement.agreement(found, was, np.ones((1, 200)))[metric]
    assert 0 <= moved.least < value < moved.most


def test_every_metric_is_told_by_windows_or_by_an_influence() -> None:
    (found, _), (was, _) = rows(3, apart=0.4), rows(3)
    task = Perplexity.without_model(found)
    ones = np.ones((1, 3))
    for numbers, reference in ((task.summarise(found, ones), None),
                               (task.agree(found, was, ones), was)):  # fmt: skip
        parts = task.per_sample(found, reference)
        for name, (value,) in numbers.items():
            if name in parts:
                assert parts[name].mean() == pytest.approx(value)
            else:
                assert task.influence(name, found, reference) is not None
    assert task.influence("logprob", found) is None
    assert task.influence("kl_divergence", found, was) is None
