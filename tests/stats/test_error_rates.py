"""The stated error rates, by simulation at the margin's edge, where every verdict is wrong."""

from __future__ import annotations

import itertools
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from quantbench.metrics.average_precision import summarise
from quantbench.metrics.matching import AREAS, match
from quantbench.stats.bootstrap import PairedBootstrap, resampling_weights
from quantbench.stats.means import PairedMeans
from quantbench.stats.proportions import PairedProportions
from quantbench.stats.sequential import BettingDifference
from quantbench.stats.times import TimeRatio

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from quantbench.stats.comparison import Comparison

    Values = NDArray[np.float64]

STUDIES = 2000
ALPHA = 0.05
SIZES = (50, 200, 1000, 5000)
FLIP_RATES = (0.005, 0.05, 0.2)
pytestmark = pytest.mark.slow


def most(rate: float, studies: int = STUDIES) -> float:
    """The rate plus three standard errors of its simulated frequency."""
    return float(rate + 3 * (rate * (1 - rate) / studies) ** 0.5)


def flips_at_the_margin(n: int, flips: float, all_lost: bool) -> tuple[NDArray[Any], float]:  # noqa: FBT001
    """Counts of losses and gains [studies, 2] whose true difference is -margin."""
    margin = flips if all_lost else flips / 2
    rng = np.random.default_rng([n, int(1000 * flips), all_lost])
    shares = [(flips + margin) / 2, (flips - margin) / 2, 1 - flips]
    return rng.multinomial(n, shares, size=STUDIES)[:, :2], margin


def wrong_outcomes(comparison: Comparison, margin: float) -> tuple[bool, bool]:
    """False pass and false failure: the true difference is -margin."""
    low, high = comparison.bounds(ALPHA)
    return low > -margin, high < -margin


@cache
def proportions_wrong(losses: int, gains: int, n: int, margin: float) -> tuple[bool, bool]:
    """The same by p-values, of which the bounds are the inverse: no search."""
    pair = PairedProportions(losses, gains, n)
    return (
        pair.p_at_most(-margin) <= ALPHA,
        pair.mirrored().p_at_most(margin) <= ALPHA,
    )


@cache
def mean_wrong(losses: int, gains: int, n: int, margin: float) -> tuple[bool, bool]:
    return wrong_outcomes(PairedMeans(differences(losses, gains, n)), margin)


def bootstrap_wrong(losses: int, gains: int, n: int, margin: float) -> tuple[bool, bool]:
    """Samples in another order every time: else all studies would share the draws' own luck."""
    shuffled = np.random.default_rng([losses, gains, n, next(SEEDS)]).permutation(
        differences(losses, gains, n)
    )
    return wrong_outcomes(PairedBootstrap(resampling_weights(n) @ shuffled / n, n), margin)


SEEDS = itertools.count()


def differences(losses: int, gains: int, n: int) -> Values:
    found = np.zeros(n)
    found[:losses], found[losses : losses + gains] = -1, 1
    return found


ESTIMATORS: dict[str, Callable[[int, int, int, float], tuple[bool, bool]]] = {
    "proportions": proportions_wrong,
    "means": mean_wrong,
    "bootstrap": bootstrap_wrong,
}


@pytest.mark.parametrize("all_lost", [False, True])
@pytest.mark.parametrize("flips", FLIP_RATES)
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_false_passes_are_as_rare_as_stated(
    estimator: str,
    n: int,
    flips: float,
    all_lost: bool,  # noqa: FBT001
) -> None:
    """2,000 studies each; 400 of the bootstrap at 5,000 samples, for time."""
    counts, margin = flips_at_the_margin(n, flips, all_lost)
    if (estimator, n) == ("bootstrap", 5000):
        counts = counts[:400]
    judge = ESTIMATORS[estimator]
    passed, failed = np.mean([judge(int(b), int(c), n, margin) for b, c in counts], axis=0)
    assert passed <= most(ALPHA, len(counts)), "false passes"
    assert passed + failed <= most(2 * ALPHA, len(counts)), "the interval covers less than stated"


@pytest.mark.parametrize("n", SIZES)
def test_means_of_skewed_differences_hold_too(n: int) -> None:
    """Log-probability drifts are like this: many small losses, some large."""
    rng = np.random.default_rng(n)
    truth = -1.0
    samples = -rng.gamma(1.0, 1.0, size=(STUDIES, n))
    bounds = np.array([PairedMeans(sample).bounds(ALPHA) for sample in samples])
    assert (bounds[:, 0] > truth).mean() <= most(ALPHA)
    short_tail = 0.01 if n == SIZES[0] else 0.0  # README, Limits
    assert (bounds[:, 1] < truth).mean() <= most(ALPHA) + short_tail


@pytest.mark.parametrize("n", [5, 20, 200])
def test_ratios_of_times_hold_with_outliers(n: int) -> None:
    """A tenth slower, on a machine that hiccups in one round of twenty."""
    rng = np.random.default_rng(n)
    found = []
    for _ in range(STUDIES):
        sides = rng.lognormal(0, 0.05, (2, n)) * np.where(rng.random((2, n)) < 0.05, 8, 1)
        ratio = TimeRatio(1.1 * sides[0], sides[1])
        tails = ratio.p_at_most(0.1), ratio.mirrored().p_at_most(-0.1)
        found.append([p <= ALPHA for p in tails])
    assert (np.mean(found, axis=0) <= most(ALPHA)).all()


@pytest.mark.parametrize("flips", FLIP_RATES)
def test_looking_after_every_sample_does_not_raise_the_error(flips: float) -> None:
    """Type I error at most alpha whatever the stopping time: here, the worst of 5,000 looks."""
    margin, n = flips / 2, 5000
    rng = np.random.default_rng(int(1000 * flips))
    shares = [(flips + margin) / 2, (flips - margin) / 2, 1 - flips]
    wrong = 0
    for _ in range(STUDIES):
        drawn = rng.choice([-1.0, 1.0, 0.0], size=n, p=shares)
        wrong += highest_capital(drawn, -margin) >= 1 / ALPHA
    assert wrong / STUDIES <= most(ALPHA)


def highest_capital(drawn: Values, bound: float) -> float:
    """Over all stops, one sample at a time."""
    from quantbench.stats.sequential import _STAKES

    stakes = _STAKES / (1 + bound)
    logs = np.log1p(np.outer([-1 - bound, 1 - bound, -bound], stakes))
    kind = np.select([drawn == -1, drawn == 1], [0, 1], 2)
    paths = np.logaddexp.reduce(np.cumsum(logs[kind], axis=0), axis=1) - np.log(len(stakes))
    highest = max(1.0, float(np.exp(paths.max())))  # before the first sample it was 1
    assert BettingDifference(drawn).capital(bound) == pytest.approx(highest, rel=1e-9)
    return highest


def simulated_rows(n: int, loss: float, seed: int) -> tuple[list[Any], list[Any]]:
    """Evidence of a reference and a quantized detector on n images of one category.

    Every image has two objects. The reference finds each with probability .8 and tells a lie in
    every second image; the quantized model drops a share of what the reference says.
    """
    rng = np.random.default_rng(seed)
    truths: list[dict[str, Any]] = [
        {"bbox": [x, 10.0, 20.0, 20.0], "area": 400.0, "category_id": 1, "iscrowd": 0}
        for x in (10.0, 60.0)
    ]
    reference, quantized = [], []
    for image in range(n):
        said: list[dict[str, Any]] = [
            {"bbox": truth["bbox"], "score": rng.beta(4, 2), "category_id": 1}
            for truth in truths
            if rng.random() < 0.8
        ]
        if rng.random() < 0.5:
            lie = [100.0, 100.0, 20.0, 20.0]
            said.append({"bbox": lie, "score": rng.beta(2, 4), "category_id": 1})
        kept = [detection for detection in said if rng.random() >= loss]
        reference.append({"id": str(image), "truths": truths, "detections": said})
        quantized.append({"id": str(image), "truths": truths, "detections": kept})
    return reference, quantized


def ap_difference(n: int, loss: float, seed: int, weights: Values) -> Values:
    """Quantized less reference under each row of weights."""
    reference, quantized = (
        summarise(match(rows, [1], areas={"all": AREAS["all"]}), weights)["AP"]
        for rows in simulated_rows(n, loss, seed)
    )
    return np.asarray(quantized - reference)


@pytest.mark.parametrize("n", [50, 200])
def test_average_precision_holds_on_simulated_detections(n: int) -> None:
    """The margin lies on what data sets of n images show on average.

    That is the truth that the interval is about: AP depends on the size of the data set too.
    """
    loss, studies, weights = 0.05, 400, resampling_weights(n)
    ones = np.ones((1, n))
    truth = np.mean([ap_difference(n, loss, seed, ones)[0] for seed in range(1500)])
    bounds = np.array(
        [
            PairedBootstrap(ap_difference(n, loss, 5000 + seed, weights), n).bounds(ALPHA)
            for seed in range(studies)
        ]
    )
    assert (bounds[:, 0] > truth).mean() <= most(ALPHA, studies), "false passes"
    assert (bounds[:, 1] < truth).mean() <= most(ALPHA, studies), "false failures"
