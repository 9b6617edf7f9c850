"""The share of a loss that came back, against worlds whose true share is known."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import stats

from quantbench.stats.bootstrap import resampling_weights
from quantbench.stats.share import share_recovered

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from quantbench.stats.comparison import Estimate

    Answers = tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]

TRUE = 0.7  # (.41 - .20) / (.50 - .20)


def world(rng: np.random.Generator, n: int, group: int = 1) -> Answers:
    """Right answers of the float, the quantized and the recovered model.

    Samples of a group are alike hard, from certainly right to certainly wrong.
    """
    hard = np.repeat(rng.beta(0.5, 0.5, n // group), group) if group > 1 else np.full(n, 0.5)
    right = rng.random(n) < hard
    before = rng.random(n) < np.where(right, 0.3, 0.1)
    now = rng.random(n) < np.where(right, 0.7, 0.12)
    return right, before, now


def judged(
    answers: Answers, groups: tuple[int, ...] | None = None, *, lower_is_better: bool = False
) -> Estimate:
    right, before, now = answers
    weights = resampling_weights(len(right), groups=groups)
    mine, was, its = (weights @ each / weights.sum(axis=1) for each in (now, before, right))
    return share_recovered(mine, was, its, len(right), lower_is_better=lower_is_better)


@pytest.mark.parametrize(("n", "group"), [(100, 1), (300, 1), (300, 5)])
def test_the_interval_covers_the_true_share(n: int, group: int) -> None:
    rng = np.random.default_rng(1)
    groups = tuple(i // group for i in range(n)) if group > 1 else None
    found = [judged(world(rng, n, group), groups) for _ in range(500)]
    covered = np.mean([each.low <= TRUE <= each.high for each in found])
    assert 0.92 < covered < 0.98  # three standard errors of 500 worlds


def slight(rng: np.random.Generator, n: int) -> Answers:
    """A loss of .04 that 700 samples barely tell from none; .8 of it comes back."""
    right = rng.random(n) < 0.9
    lost = right & (rng.random(n) < 0.06)
    won = ~right & (rng.random(n) < 0.14)
    before = right ^ lost ^ won
    now = np.where(rng.random(n) < 0.8, right, before)
    return right, before, now


def test_of_a_loss_that_is_barely_certain_the_interval_covers_the_share() -> None:
    rng = np.random.default_rng(7)
    found = [judged(slight(rng, 700)) for _ in range(400)]
    defined = [each for each in found if not math.isnan(each.value)]
    assert len(defined) > 350  # one draw in a thousand without a loss does not make it uncertain
    assert np.mean([each.low <= 0.8 <= each.high for each in defined]) > 0.92


def test_a_loss_is_certain_where_its_own_interval_says_so() -> None:
    rng = np.random.default_rng(8)
    for _ in range(60):
        right, before, now = slight(rng, 250)
        weights = resampling_weights(250)
        mine, was, its = (weights @ each / weights.sum(axis=1) for each in (now, before, right))
        found = share_recovered(mine, was, its, 250)
        assert math.isnan(found.value) == (np.mean(its[1:] <= was[1:]) >= 0.025)


def test_of_many_samples_it_is_fieller_s() -> None:
    right, before, now = world(np.random.default_rng(2), 4000)
    found = judged((right, before, now))
    gained, lost = now.astype(float) - before, right.astype(float) - before
    z2 = stats.norm.ppf(0.975) ** 2
    (vg, cov), (_, vl) = np.cov(gained, lost) / 4000
    a, b = lost.mean() ** 2 - z2 * vl, gained.mean() * lost.mean() - z2 * cov
    c = gained.mean() ** 2 - z2 * vg
    root = math.sqrt(b * b - a * c)
    assert found.value == pytest.approx(gained.mean() / lost.mean())
    assert found.low == pytest.approx((b - root) / a, abs=0.01)
    assert found.high == pytest.approx((b + root) / a, abs=0.01)
    assert "ratio of paired differences" in found.method


def test_of_a_metric_that_is_better_lower_the_share_is_the_same() -> None:
    right, before, now = world(np.random.default_rng(3), 300)
    one = judged((right, before, now))
    other = judged((~right, ~before, ~now), lower_is_better=True)
    assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high))


def test_of_a_loss_that_is_not_certain_there_is_no_share() -> None:
    rng = np.random.default_rng(4)
    right = rng.random(100) < 0.5
    other = right.copy()
    other[:2] = ~other[:2]
    for before, why in ((right, "nothing was lost"), (other, "undefined: ")):
        found = judged((right, before, right))
        assert math.isnan(found.value)
        assert why in found.method


def test_of_a_gain_there_is_no_share() -> None:
    """The quantized model was better than the float one, and training back made it worse."""
    rng = np.random.default_rng(6)
    right, before, now = rng.random(2000) < 0.6, rng.random(2000) < 0.7, rng.random(2000) < 0.65
    found = judged((right, before, now))
    assert math.isnan(found.value)
    assert found.method == "undefined: nothing was lost"


def test_nothing_and_all_that_came_back() -> None:
    right, before, _ = world(np.random.default_rng(5), 300)
    nothing, everything = judged((right, before, before)), judged((right, before, right))
    assert (nothing.value, nothing.low, nothing.high) == (0, 0, 0)
    assert (everything.value, everything.low, everything.high) == (1, 1, 1)
