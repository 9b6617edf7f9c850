"""Influences against leaving samples out, and the interval made of them against closed forms."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import stats

from quantbench.protocols import Influence
from quantbench.run.results import Results
from quantbench.stats.bootstrap import resampling_weights
from quantbench.stats.gates import samples_to_decide
from quantbench.stats.influence import mean_influence, numeric_influence, ratio_influence
from quantbench.stats.influences import PairedInfluence
from quantbench.study import Gate
from quantbench.tasks.detection.metrics import agreement
from quantbench.tasks.detection.metrics.average_precision import summarise
from quantbench.tasks.detection.metrics.coco_influence import of_matches
from quantbench.tasks.detection.metrics.matching import match
from quantbench.tasks.last_word import metrics as language
from tests.stats.test_error_rates import simulated_rows
from tests.stats.worlds import World, compared, value_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from quantbench.tasks.detection.metrics.matching import Matches

    Values = NDArray[np.float64]


def of_difference(sample: Values, groups: NDArray[np.int64] | None = None) -> PairedInfluence:
    """Of a mean, against a metric that never varies and can fall by 1."""
    nothing = mean_influence(np.zeros(len(sample), dtype=bool))
    bounded = replace(mean_influence(sample), least=0.0, most=1.0)
    return PairedInfluence.between(
        (1.0 + float(sample.mean()), 1.0), (bounded, nothing), groups=groups
    )


def test_a_means_interval_is_students_with_johnsons_shift_and_the_unseen() -> None:
    sample = np.random.default_rng(1).normal(-0.02, 1, 200)
    n = len(sample)
    freedom = min(2 * n / (stats.kurtosis(sample, fisher=False) - 1), n - 1)
    t = stats.t.ppf(0.95, freedom)
    shift = stats.skew(sample) * sample.std() / (6 * n) * (1 + 2 * t**2)
    unseen = (1 - 0.05 ** (1 / n)) * min(1, 15 / freedom)
    low, high = of_difference(sample).bounds(0.05)
    half = t * stats.sem(sample)
    assert sample.mean() - low == pytest.approx(np.hypot(half - min(shift, 0), unseen), rel=0.01)
    assert high == pytest.approx(sample.mean() + half + max(shift, 0), rel=0.01)  # 1 is the most


def test_the_variance_of_strata_is_that_of_a_mean_of_means() -> None:
    """Three categories of 40, 2 and 5 samples that have no sample in common: closed form."""
    rng = np.random.default_rng(2)
    parts = [rng.normal(size=40), rng.normal(size=2), rng.normal(size=5)]
    change, shown = np.zeros((3, 47)), np.zeros((3, 47), dtype=bool)
    start = 0
    for row, part in enumerate(parts):
        at = slice(start, start + len(part))
        change[row, at], shown[row, at] = (part - part.mean()) / len(part), True
        start += len(part)
    pair = PairedInfluence(0.0, change, shown, 1.0, 1.0, 47)
    expected = sum(part.var(ddof=1) / len(part) for part in parts) / 9
    assert pair.spread**2 / 47 == pytest.approx(expected)


def test_a_category_of_one_image_gets_the_variance_of_one_image() -> None:
    """Pooled over the others: alone it never varies, and nine categories in ten may be like it."""
    part = np.random.default_rng(3).normal(size=400)
    change = np.zeros((2, 401))
    change[0, :400] = (part - part.mean()) / 400
    shown = np.array([np.arange(401) < 400, np.arange(401) == 400])
    pair = PairedInfluence(0.0, change, shown, 1.0, 1.0, 401)
    expected = (part.var(ddof=1) / 400 + part.var(ddof=1)) / 4
    assert pair.spread**2 / 401 == pytest.approx(expected)


def test_a_group_counts_once_however_many_samples_it_has() -> None:
    """Each sample ten times over, in a group: the interval is that of the samples."""
    sample = np.random.default_rng(4).normal(-0.1, 1, 120)
    alone = of_difference(sample)
    tenfold = of_difference(np.repeat(sample, 10), np.repeat(np.arange(120), 10))
    assert tenfold.bounds(0.05) == pytest.approx(alone.bounds(0.05))
    assert (tenfold.n, tenfold.groups, alone.groups) == (1200, 120, None)
    low, high = of_difference(np.repeat(sample, 10)).bounds(0.05)
    assert high - low < 0.4 * (alone.bounds(0.05)[1] - alone.bounds(0.05)[0])


@pytest.mark.parametrize("alpha", [0.05, 0.001])
def test_where_nothing_moved_the_bound_is_the_unseens_share_of_the_reference(alpha: float) -> None:
    nothing = mean_influence(np.repeat([True, False], [30, 70]))
    pair = PairedInfluence.between((0.3, 0.3), (nothing, nothing))
    unseen = 1 - alpha ** (1 / 100)
    # What could be gained is more, but no sample shows that such gains come about.
    assert pair.bounds(alpha) == pytest.approx((-0.3 * unseen, 0.3 * unseen))
    risen = PairedInfluence.between((0.3, 0.3), (nothing, nothing), lower_is_better=True)
    assert risen.bounds(alpha) == pytest.approx((-0.3 * unseen, 0.7 * unseen))


def test_an_image_that_shows_nothing_is_no_evidence_that_nothing_is_lost() -> None:
    below = np.repeat([1.0, 0.0], [40, 160])
    nothing = ratio_influence(0.5 * below, below)
    low, _ = PairedInfluence.between((0.5, 0.5), (nothing, nothing)).bounds(0.05)
    assert low == pytest.approx(-0.5 * (1 - 0.05 ** (1 / 40)))


def test_mirrored_is_the_same_the_other_way_round() -> None:
    pair = compared(World(10, "skewed"), 100, 0)
    low, high = pair.bounds(0.05)
    assert pair.mirrored().bounds(0.05) == pytest.approx((-high, -low))
    assert pair.mirrored().mirrored().value == pair.value


def test_p_values_fall_as_far_as_the_family_of_a_run_needs() -> None:
    """500 gates by Holm want .0001 of each: 1,000 draws could show no less than .001."""
    pair = compared(World(80, "skewed", drop=0.01), 500, 0)
    assert pair.p_at_most(-0.05) < 0.05 / 500
    assert pair.bounds(1e-4)[0] < pair.bounds(0.01)[0] < pair.value


def detections() -> list[dict[str, Any]]:
    """Of three categories, boxes off by a little, objects of medium size and crowds among them."""
    rng = np.random.default_rng(7)
    rows = []
    for _ in range(60):
        truths, said = [], []
        for category in rng.choice(3, rng.integers(1, 3), replace=False) + 1:
            box = [*rng.uniform(0, 60, 2), *rng.uniform(34, 60, 2)]
            crowd = int(rng.random() < 0.1)
            truths.append(
                {"bbox": box, "area": box[2] * box[3], "category_id": category, "iscrowd": crowd}
            )
            near = [value + rng.normal(0, 3) for value in box]
            places = [near] * (rng.random() < 0.8) + [[80.0, 80.0, 40.0, 40.0]] * 2
            said += [
                {"bbox": place, "score": rng.random(), "category_id": category} for place in places
            ]
        rows.append({"truths": truths, "detections": said})
    return rows


def area_under_the_curve(matched: Matches, weights: Values, at: slice) -> float:
    """The whole interpolated curve, which 101 recall levels sample; by plain numpy."""
    areas = []
    for true, counted in zip(matched.true[at], matched.counted[at], strict=True):
        weight = weights[matched.image]
        found, seen = np.cumsum(weight * true), np.cumsum(weight * counted)
        precision = found / np.maximum(seen, 1e-12)
        best = np.maximum.accumulate(precision[::-1])[::-1]
        areas.append(float((weight * true * best).sum() / (weights @ matched.positives)))
    return float(np.mean(areas))


@pytest.mark.parametrize(
    ("metric", "area", "at"),
    [
        ("AP", "all", slice(None)),
        ("AP50", "all", slice(0, 1)),
        ("AP75", "all", slice(5, 6)),
        ("AP_medium", "medium", slice(None)),
        ("AP_category_2", "all", slice(None)),
    ],
)
def test_influences_of_precision_are_its_derivatives(metric: str, area: str, at: slice) -> None:
    rows, step = detections(), 1e-6
    found = of_matches(match(rows, [1, 2, 3]), metric)
    assert found is not None
    matches = match(rows, [1, 2, 3])
    wanted = (2,) if metric == "AP_category_2" else (1, 2, 3)
    for change, category in zip(found.change, wanted, strict=True):
        matched = matches[category, area]
        for image in range(0, 60, 7):
            ends = []
            for sign in (-1, 1):
                weights = np.ones(60)
                weights[image] += sign * step
                ends.append(area_under_the_curve(matched, weights, at))
            derived = (ends[1] - ends[0]) / (2 * step) * 100 / 101  # as 101 levels weigh it
            assert change[image] == pytest.approx(derived, abs=1e-7)


@pytest.mark.parametrize("metric", ["AR1", "AR10", "AR", "AR_medium"])
def test_influences_of_recall_are_those_of_leaving_an_image_out(metric: str) -> None:
    rows = detections()
    found = of_matches(match(rows, [1, 2, 3]), metric)
    assert found is not None
    matches = match(rows, [1, 2, 3])
    numeric = numeric_influence(lambda weights: summarise(matches, weights)[metric], len(rows))
    assert_alike(Influence(found.change.mean(axis=0, keepdims=True), found.shown), numeric)


def test_the_standard_error_of_average_precision_is_the_bootstraps() -> None:
    """Of one category on 400 images: two ways to the same number."""
    world = World(1, drop=0.1)
    reference, quantized = world.study(400, 5)
    weights = resampling_weights(400)
    replicates = summarise(quantized, weights)["AP"] - summarise(reference, weights)["AP"]
    pair = compared(world, 400, 5)
    assert pair.value == pytest.approx(replicates[0])
    assert pair.spread / 20 == pytest.approx(replicates[1:].std(), rel=0.1)


def test_strata_are_the_categories_that_have_a_truth() -> None:
    reference, _ = World(80, "skewed").study(60, 1)
    found = of_matches(reference, "AP")
    assert found is not None
    every = [matched for (_, area), matched in reference.items() if area == "all"]
    present = [matched for matched in every if matched.positives.any()]
    assert found.change.shape == (len(present), 60)
    assert found.shown.sum(axis=1).tolist() == [(m.positives > 0).sum() for m in present]
    assert of_matches(reference, "AP_huge") is None
    assert of_matches({}, "AP") is None


def passages() -> list[dict[str, object]]:
    rng = np.random.default_rng(0)
    return [
        {
            "ranks": rng.integers(0, 8, length := int(rng.integers(1, 4))).tolist(),
            "logprobs": (-rng.exponential(size=length)).tolist(),
        }
        for _ in range(120)
    ]


@pytest.mark.parametrize("metric", ["perplexity", "word_top5"])
def test_influences_of_language_metrics_are_those_of_leaving_a_passage_out(metric: str) -> None:
    rows = passages()
    found = language.influence(metric, rows)
    assert found is not None
    numeric = numeric_influence(lambda weights: language.summarise(rows, weights)[metric], 120)
    assert_alike(found, numeric)
    assert language.influence("accuracy", rows) is None


@pytest.mark.parametrize("metric", ["agreement_IoU", "score_drift", "lost", "gained"])
def test_influences_of_agreement_are_those_of_leaving_an_image_out(metric: str) -> None:
    reference, rows = simulated_rows(150, 0.1, seed=5)
    counted = agreement.counted(rows, reference, [1])
    found = counted.influence(metric)
    assert found is not None
    numeric = numeric_influence(lambda weights: counted.numbers(weights)[metric], len(rows))
    assert_alike(found, numeric)


def test_influences_of_agreement_ap_have_the_bootstraps_standard_error() -> None:
    """One image left out hardly moves it: 101 recall levels jump by a hundredth, or not at all."""
    reference, rows = simulated_rows(150, 0.1, seed=5)
    counted = agreement.counted(rows, reference, [1])
    found = counted.influence("agreement_AP")
    assert found is not None
    replicates = counted.numbers(resampling_weights(150))
    expected = replicates["agreement_AP"][1:].std()
    assert np.linalg.norm(found.change) == pytest.approx(expected, rel=0.15)


def assert_alike(found: Influence, numeric: Influence) -> None:
    assert found.change.sum() == pytest.approx(0, abs=1e-9)
    scale = np.abs(numeric.change).max(initial=1e-9)
    assert found.change.sum(axis=0) == pytest.approx(numeric.change[0], abs=0.12 * scale)


def test_a_ratio_counts_the_samples_that_it_is_about() -> None:
    found = ratio_influence(np.array([1.0, 0.0, 0.0]), np.array([1.0, 1.0, 0.0]))
    assert found.shown.tolist() == [[True, True, False]]
    assert found.change.tolist() == [[0.25, -0.25, 0.0]]


@pytest.mark.parametrize("metric", ["AP", "AP_small"])
@pytest.mark.parametrize(
    "world",
    [
        World(80, "skewed"),
        World(10, "sparse", drop=0.1),
        World(3, drop=0, jitter=0, shift=0, collapse=0.03),
        World(80, "skewed", 0.005, 0.02, 0.005, collapse=0.03),
    ],
    ids=["skewed", "sparse", "three, rare", "eighty, rare"],
)
def test_a_p_value_is_the_alpha_at_which_the_bound_is_reached(world: World, metric: str) -> None:
    """Holm goes by p-values: one that is larger than the bound says takes a clear pass back."""
    for seed in range(12):
        pair = compared(world, 60, seed, metric)
        for alpha in (0.2, 0.05, 0.001):
            low = pair.bounds(alpha)[0]
            if low < pair.value:
                assert pair.p_at_most(low) == pytest.approx(alpha, rel=0.02)


def test_what_changes_where_one_image_shows_it_is_not_bounded() -> None:
    """Twenty images with a category each: how much the next one would lose is not known."""
    change, shown = np.zeros((20, 20)), np.eye(20, dtype=bool)
    assert PairedInfluence(-0.1, change, shown, 1.0, 1.0, 20).bounds(0.05) == (-np.inf, np.inf)
    low, high = PairedInfluence(0.0, change, shown, 1.0, 1.0, 20).bounds(0.05)
    assert -0.2 < low < 0 < high < 0.2, "where nothing changed, the unseen is bounded"


def test_a_metric_that_the_reference_has_at_its_end_can_still_move() -> None:
    """Drift of the float model against itself is 0 throughout; that of the other is not."""
    drift = np.random.default_rng(0).normal(-0.1, 0.3, 400)
    groups = np.repeat(np.arange(40), 10)
    pair = PairedInfluence.between(
        (float(drift.mean()), 0.0),
        (mean_influence(drift), mean_influence(np.zeros(400))),
        groups=groups,
    )
    assert pair.down == pytest.approx(-drift.min())


def test_few_unchanged_samples_need_more_to_rule_a_loss_out() -> None:
    """Of a share that should be small, the loss is a rise: 299 samples for one in a hundred."""
    nothing = mean_influence(np.zeros(60, dtype=bool))
    pair = PairedInfluence.between((0.0, 0.0), (nothing, nothing), lower_is_better=True)
    assert samples_to_decide(pair, Gate("lost", 0.01, lower_is_better=True)) == 299


def test_the_smooth_precision_is_what_101_levels_give_on_average() -> None:
    """Over sets of images of all sizes the jumps average out; for one set they do not."""
    off = []
    for images in range(60, 160, 2):
        reference, _ = World(1).study(images, images)
        found = of_matches(reference, "AP")
        assert found is not None
        assert found.smooth is not None
        off.append(value_of(reference, images, "AP") - found.smooth)
    assert np.mean(off) == pytest.approx(0, abs=3 * np.std(off) / len(off) ** 0.5)
    assert np.std(off) > 3e-4


def test_the_bounds_hold_the_difference_with_its_jumps() -> None:
    change = np.array([[1e-4, -1e-4] * 50])
    pair = PairedInfluence(-0.05, change, np.ones((1, 100), dtype=bool), 0.3, 0.3, 100)
    moved = replace(pair, centre=-0.02)
    assert moved.bounds(0.05)[0] <= -0.05
    assert moved.bounds(0.05)[1] == pytest.approx(pair.bounds(0.05)[1] + 0.03)
    assert moved.mirrored().bounds(0.05) == pytest.approx(
        tuple(-b for b in moved.bounds(0.05)[::-1])
    )


def test_a_single_values_interval_lies_around_it() -> None:
    reference, _ = World(3).study(200, 3)
    moved = of_matches(reference, "AP")
    assert moved is not None
    value = value_of(reference, 200, "AP")
    results = Results(
        name="r",
        rows=[{"id": str(i)} for i in range(200)],
        replicates={"AP": np.array([value])},
        lower_is_better=frozenset(),
        dataset={"name": "d"},
        moved_by=lambda _: moved,
    )
    found = results.estimate("AP")
    assert value - 0.1 < found.low < value < found.high < value + 0.1
