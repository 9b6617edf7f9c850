"""Answers, probabilities and agreement against scikit-learn's and scipy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, rel_entr, softmax
from sklearn.metrics import log_loss, top_k_accuracy_score

from quantbench.tasks.classification.metrics import agreement, answers
from tests.tasks.classification.rows import described, rows_of, task

SEEDS = st.integers(0, 10**6)


def drawn(seed: int, classes: int, n: int = 60) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 3, (n, classes)), rng.integers(0, classes, n)


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.sampled_from([2, 7, 19, 40]))
def test_top1_top5_and_cross_entropy_are_scikit_learns(seed: int, classes: int) -> None:
    logits, labels = drawn(seed, classes)
    found = answers.summarise(rows_of(logits, labels), np.ones((1, len(labels))))
    known = np.arange(classes)
    if classes > 2:
        assert found["top1"][0] == pytest.approx(
            top_k_accuracy_score(labels, logits, k=1, labels=known)
        )
    if classes > 5:
        top5 = top_k_accuracy_score(labels, logits, k=5, labels=known)
        assert found["top5"][0] == pytest.approx(top5)
    loss = log_loss(labels, softmax(logits, axis=1), labels=known)
    assert found["cross_entropy"][0] == pytest.approx(loss, abs=1e-6)


def test_probabilities_count_as_their_logits_do() -> None:
    logits, labels = drawn(1, 7)
    ones = np.ones((1, len(labels)))
    one = answers.summarise(rows_of(logits, labels), ones)
    other = answers.summarise(rows_of(softmax(logits, axis=1), labels, "probabilities"), ones)
    for name, values in one.items():
        assert other[name][0] == pytest.approx(values[0], abs=1e-5), name


def test_of_equal_scores_the_first_channel_is_the_answer() -> None:
    rows = rows_of(np.array([[1.0, 2.0, 2.0, 0.0]] * 2), np.array([1, 2]))
    assert [row["rank"] for row in rows] == [0, 1]
    assert [answers.said(row) for row in rows] == ["c1", "c1"]


def test_a_weight_is_a_repetition() -> None:
    logits, labels = drawn(3, 6, n=30)
    rows = rows_of(logits, labels)
    weights = np.random.default_rng(0).integers(0, 4, (1, 30)).astype(float)
    repeated = [row for row, k in zip(rows, weights[0], strict=True) for _ in range(int(k))]
    once = answers.summarise(repeated, np.ones((1, len(repeated))))
    for name, values in answers.summarise(rows, weights).items():
        assert values[0] == pytest.approx(once[name][0]), name


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.sampled_from([2, 10, 20]), st.floats(0, 3))
def test_agreement_is_exact_where_all_classes_are_listed(
    seed: int, classes: int, apart: float
) -> None:
    logits, labels = drawn(seed, classes)
    moved = logits + apart * np.random.default_rng(seed + 1).normal(size=logits.shape)
    found = agreement.per_picture(rows_of(moved, labels), rows_of(logits, labels))
    p, q = softmax(logits, axis=1), softmax(moved, axis=1)
    assert found["agreement_overlap"] == pytest.approx(np.minimum(p, q).sum(axis=1), abs=1e-5)
    assert found["kl_divergence"] == pytest.approx(rel_entr(p, q).sum(axis=1), abs=1e-4)
    assert (found["agreement_top1"] == (p.argmax(1) == q.argmax(1))).all()
    right, was = q.argmax(1) == labels, p.argmax(1) == labels
    assert (found["lost"] == (was & ~right)).all()
    assert (found["gained"] == (right & ~was)).all()


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.floats(0, 3))
def test_with_more_classes_two_models_look_alike_rather_than_apart(seed: int, apart: float) -> None:
    logits, labels = drawn(seed, 200, n=20)
    moved = logits + apart * np.random.default_rng(seed + 1).normal(size=logits.shape)
    found = agreement.per_picture(rows_of(moved, labels), rows_of(logits, labels))
    p, q = softmax(logits, axis=1), softmax(moved, axis=1)
    overlap = np.minimum(p, q).sum(axis=1)
    assert (found["agreement_overlap"] >= overlap - 1e-5).all()
    assert (found["kl_divergence"] <= rel_entr(p, q).sum(axis=1) + 1e-4).all()


def test_lists_without_a_common_class_hardly_overlap() -> None:
    scores = np.full((2, 100), -20.0)
    scores[0, :20], scores[1, 50:70] = 3.0, 3.0
    one, other = (rows_of(row[None], np.array([0])) for row in scores)
    assert agreement.per_picture(one, other)["agreement_overlap"][0] < 1e-6


def test_moved_is_the_change_of_probabilities_and_of_margins() -> None:
    logits = np.array([[2.0, 1.0, 0.0], [0.0, 5.0, 1.0]])
    moved = np.array([[1.5, 1.0, 0.0], [0.0, 4.0, 2.0]])
    labels = np.array([0, 1])
    shares, margins = agreement.moved(rows_of(moved, labels), rows_of(logits, labels))
    p, q = softmax(logits, axis=1), softmax(moved, axis=1)
    assert shares == pytest.approx(((q - p) ** 2).sum(axis=1).mean(), abs=1e-5)
    assert margins == pytest.approx((0.5**2 + 2.0**2) / 2, abs=1e-4)
    assert agreement.moved(rows_of(logits, labels), rows_of(logits, labels)) == (0, 0)


def test_a_model_that_answers_nothing_agrees_with_nothing() -> None:
    made = task(described())
    (row,) = rows_of(np.array([[9.0, 1.0, 0.0, 0.0]]), np.array([0]))
    nothing = made.unanswered(row)
    found = agreement.per_picture([nothing], [row])
    assert not found["agreement_top1"][0]
    assert found["lost"][0]
    assert found["agreement_overlap"][0] < 0.3
    assert answers.per_picture([nothing])["cross_entropy"][0] == pytest.approx(np.log(4))


def test_what_changed_is_told_by_class_and_by_pair() -> None:
    eye = 9 * np.eye(4)
    labels = np.array([0, 0, 1, 2])
    was = rows_of(eye[[0, 0, 1, 3]], labels)
    now = rows_of(eye[[0, 1, 1, 2]], labels)
    made = task(described())
    assert made.explain(was) == {
        "by_class": {
            "c0": {"n": 2, "right": 2},
            "c1": {"n": 1, "right": 1},
            "c2": {"n": 1, "right": 0},
        },
        "confused": [{"label": "c2", "said": "c3", "n": 1}],
    }
    assert made.explain_change(now, was) == {
        "change_by_class": {
            "c0": {"n": 2, "right": 1, "were": 2},
            "c1": {"n": 1, "right": 1, "were": 1},
            "c2": {"n": 1, "right": 1, "were": 0},
        },
        "flipped": [{"from": "c0", "to": "c1", "n": 1}, {"from": "c3", "to": "c2", "n": 1}],
    }


def test_rows_are_as_log_softmax_has_them() -> None:
    logits = np.array([[800.0, 0.0, -800.0, 1.0]])
    (row,) = rows_of(logits, np.array([3]))
    meant = log_softmax(logits[0])
    assert row["logprob"] == pytest.approx(meant[3])
    assert row["top"] == ["c0", "c3", "c1", "c2"]
    assert row["top_logprobs"] == pytest.approx(sorted(meant, reverse=True))
