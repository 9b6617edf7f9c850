"""The calibration error: its definition, its derivatives, and what its bounds let through."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from quantbench.stats.influences import PairedInfluence
from quantbench.tasks.classification.answer_numbers import AnswerNumbers
from quantbench.tasks.classification.metrics import calibration
from tests.tasks.classification.rows import rows_of

STUDIES = 600


def by_hand(confidence: Any, right: Any) -> float:
    """Bin by bin, as the papers write it."""
    whole = 0.0
    for low in np.arange(15) / 15:
        inside = (confidence > low) & (confidence <= low + 1 / 15)
        if inside.any():
            whole += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return whole


def rows(confidence: Any, right: Any) -> list[dict[str, Any]]:
    return [
        {"top_logprobs": [float(np.log(p))], "rank": int(not hit)}
        for p, hit in zip(confidence, right, strict=True)
    ]


def gaps(confidence: Any, right: Any) -> tuple[Any, Any]:
    return calibration.gaps_of(rows(confidence, right))


def test_it_is_what_the_papers_define() -> None:
    rng = np.random.default_rng(0)
    confidence, right = rng.uniform(0.05, 1, 500), rng.random(500) < 0.6
    found = calibration.calibration_error(rows(confidence, right), np.ones((1, 500)))
    assert found[0] == pytest.approx(by_hand(confidence, right))


def test_certain_and_right_is_calibrated_and_certain_and_wrong_is_not() -> None:
    for right, error in ((True, 0.0), (False, 1.0)):
        made = rows(np.ones(10), np.full(10, right))
        assert calibration.calibration_error(made, np.ones((1, 10)))[0] == pytest.approx(error)


def test_its_influence_is_its_derivative() -> None:
    rng = np.random.default_rng(1)
    made = rows(rng.uniform(0.3, 1, 80), rng.random(80) < 0.4)
    influence = AnswerNumbers().influence("calibration_error", made)
    assert influence is not None
    step = 1e-6
    nudged = np.ones((80, 80)) + step * np.eye(80)
    values = calibration.calibration_error(made, nudged)
    (whole,) = calibration.calibration_error(made, np.ones((1, 80)))
    assert influence.change[0] == pytest.approx((values - whole) / step, abs=1e-5)
    assert AnswerNumbers().influence("top1", made) is None


def test_a_calibrated_model_has_an_error_above_nought_as_the_docstring_says() -> None:
    rng = np.random.default_rng(2)
    found, expected = [], []
    for _ in range(200):
        confidence = rng.uniform(0.4, 1, 500)
        gap, bins = gaps(confidence, rng.random(500) < confidence)
        found.append(np.abs(gap @ bins).sum() / 500)
        expected.append(((2 / np.pi * (gap**2 @ bins)) ** 0.5).sum() / 500)
    assert np.mean(found) == pytest.approx(np.mean(expected), rel=0.1)
    assert np.mean(found) > 0.03


def world(rng: np.random.Generator, n: int, over: float, sharper: float, flips: float) -> Any:
    """Confidences and right answers of a float model and of one that is sure of more."""
    confidence = np.clip(0.3 + 0.7 * rng.beta(2, 1, n), 0.02, 0.9999)
    right = rng.random(n) < confidence - over * 4 * confidence * (1 - confidence)
    logit = np.log(confidence / (1 - confidence)) * (1 + sharper) + 0.2 * rng.normal(size=n)
    other = right ^ (rng.random(n) < flips)
    return (1 / (1 + np.exp(-logit)), other), (confidence, right)


@pytest.mark.slow
@pytest.mark.parametrize("n", [300, 1500])
@pytest.mark.parametrize(
    ("over", "sharper", "flips"),
    [(0.0, 0.3, 0.01), (0.0, 1.0, 0.02), (0.0, -0.3, 0.01), (0.05, 1.0, 0.02), (0.2, 0.3, 0.01)],
)
def test_a_rise_of_the_margin_is_let_through_no_more_often_than_stated(
    n: int, over: float, sharper: float, flips: float
) -> None:
    """Left out in turn, or by derivatives alone, up to 37 of 100 were, at a stated 5."""
    sides = world(np.random.default_rng(0), 400_000, over, sharper, flips)
    rise, was = (np.abs(g @ b).sum() / 400_000 for g, b in (gaps(*side) for side in sides))
    margin = rise - was
    rng = np.random.default_rng([n, int(100 * over), int(10 * abs(sharper))])
    passes = failures = 0
    for _ in range(STUDIES):
        made = [gaps(*side) for side in world(rng, n, over, sharper, flips)]
        values = [np.abs(g @ b).sum() / n for g, b in made]
        moved = [calibration.influence_of_gaps(*each) for each in made]
        pair = PairedInfluence.between(
            (values[0], values[1]), (moved[0], moved[1]), lower_is_better=True
        )
        low, high = pair.bounds(0.05)
        passes += high < margin
        failures += low > margin
    assert passes <= 0.05 * STUDIES
    assert failures <= 0.05 * STUDIES


def test_a_model_beside_itself_differs_by_nothing() -> None:
    rng = np.random.default_rng(3)
    influence = calibration.influence_of_gaps(
        *gaps(rng.uniform(0.4, 1, 300), rng.random(300) < 0.7)
    )
    pair = PairedInfluence.between((0.1, 0.1), (influence, influence), lower_is_better=True)
    assert pair.slack == (0, 0)
    assert pair.mirrored().value == 0


def test_groups_widen_the_bounds() -> None:
    """Ten alike pictures are one: chance is that of a tenth of the samples."""
    rng = np.random.default_rng(4)
    confidence = np.repeat(rng.uniform(0.4, 1, 100), 10)
    right = np.repeat(rng.random(100) < 0.7, 10)
    sharper = 1 - (1 - confidence) / 2
    mine, its = (
        calibration.influence_of_gaps(*gaps(each, right)) for each in (sharper, confidence)
    )
    alone = PairedInfluence.between((0.2, 0.1), (mine, its), lower_is_better=True)
    grouped = PairedInfluence.between(
        (0.2, 0.1), (mine, its), lower_is_better=True, groups=np.repeat(np.arange(100), 10)
    )
    assert grouped.slack[1] > 1.5 * alone.slack[1]
    assert alone.mirrored().slack == alone.slack[::-1]


def test_it_is_counted_of_whole_rows_too() -> None:
    logits = np.random.default_rng(5).normal(0, 2, (40, 6))
    made = rows_of(logits, logits.argmax(axis=1))
    confidence = np.exp(logits).max(axis=1) / np.exp(logits).sum(axis=1)
    found = AnswerNumbers().summarise(made, np.ones((1, 40)))["calibration_error"][0]
    assert found == pytest.approx(by_hand(confidence, np.ones(40, bool)), abs=1e-5)
