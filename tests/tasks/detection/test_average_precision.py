"""AP against pycocotools, and what weights mean."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from quantbench.stats.bootstrap import resampling_weights
from quantbench.stats.ratio import ratio
from quantbench.tasks.detection.metrics.average_precision import operating_counts, summarise
from quantbench.tasks.detection.metrics.lost_precision import lost_precision
from quantbench.tasks.detection.metrics.matching import AREAS, IOU_THRESHOLDS, match

CATEGORIES = (1, 2, 3)
NAMES = (
    *("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large"),
    *("AR1", "AR10", "AR", "AR_small", "AR_medium", "AR_large"),
)

sizes = st.sampled_from([8.0, 20.0, 32.0, 50.0, 96.0, 120.0])  # both sides of COCO's area edges
places = st.integers(0, 60).map(float)
boxes = st.tuples(places, places, sizes, sizes).map(list)


def with_area(truth: dict[str, Any]) -> dict[str, Any]:
    return truth | {"area": truth["bbox"][2] * truth["bbox"][3]}


truths = st.fixed_dictionaries(
    {
        "bbox": boxes,
        "category_id": st.sampled_from(CATEGORIES),
        "iscrowd": st.sampled_from([0, 0, 0, 1]),
    }
).map(with_area)


@st.composite
def row(draw: st.DrawFn) -> dict[str, Any]:
    """An image: truths, and detections near them or anywhere."""
    true = draw(st.lists(truths, max_size=4))
    near = [
        {
            "bbox": [v + draw(st.integers(-6, 6)) for v in truth["bbox"]],
            "category_id": truth["category_id"],
        }
        for truth in true
        if draw(st.booleans())
    ]
    stray = draw(
        st.lists(
            st.fixed_dictionaries({"bbox": boxes, "category_id": st.sampled_from(CATEGORIES)}),
            max_size=4,
        )
    )
    if draw(st.integers(0, 19)) == 0:  # more than COCO looks at, in one category
        stray += [{"bbox": [float(i), 9.0, 20.0, 20.0], "category_id": 1} for i in range(104)]
    said = [
        {**one, "bbox": [*one["bbox"][:2], *(max(v, 1.0) for v in one["bbox"][2:])]}
        for one in [*near, *stray]
    ]
    scores = draw(st.lists(st.integers(1, 6), min_size=len(said), max_size=len(said)))
    detections = [{**one, "score": score / 7} for one, score in zip(said, scores, strict=True)]
    return {"width": 200, "height": 200, "truths": true, "detections": detections}


def by_pycocotools(rows: list[dict[str, Any]]) -> list[float]:
    """COCO's twelve numbers; -1 where undefined; [] where nothing was detected."""
    evaluation = evaluated_by_pycocotools(rows)
    return [] if evaluation is None else [float(number) for number in evaluation.stats]


def evaluated_by_pycocotools(rows: list[dict[str, Any]]) -> Any:
    annotations = [
        {**truth, "image_id": i} for i, row in enumerate(rows) for truth in row["truths"]
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [{"id": i} for i in range(len(rows))],
            "categories": [{"id": category} for category in CATEGORIES],
            "annotations": [{**a, "id": n} for n, a in enumerate(annotations, start=1)],
        }
        truth.createIndex()
        results = [
            {**said, "image_id": i} for i, row in enumerate(rows) for said in row["detections"]
        ]
        if not results:
            return None
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def numbers(rows: list[dict[str, Any]], weights: list[float]) -> list[float]:
    summed = summarise(match(rows, CATEGORIES), np.array([weights], dtype=float))
    assert tuple(summed)[: len(NAMES)] == NAMES
    return as_pycocotools_says(summed, 0)


def as_pycocotools_says(summed: dict[str, Any], replicate: int) -> list[float]:
    values = [float(summed[name][replicate]) for name in NAMES]
    return [-1.0 if np.isnan(value) else value for value in values]


@settings(max_examples=1000, deadline=None)
@given(st.lists(row(), min_size=1, max_size=5))
def test_the_twelve_numbers_are_pycocotools(rows: list[dict[str, Any]]) -> None:
    expected = by_pycocotools(rows)
    if expected:
        assert numbers(rows, [1.0] * len(rows)) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(row(), st.integers(0, 3)), min_size=1, max_size=4), st.data())
def test_a_weight_is_a_repetition(
    weighted: list[tuple[dict[str, Any], int]], data: st.DataObject
) -> None:
    # Within a tie, which copy of an image comes first is a matter of taste: avoid ties.
    total = sum(len(one["detections"]) for one, _ in weighted)
    scores = iter(data.draw(st.permutations(range(1, total + 1))))
    rows = [
        {**one, "detections": [{**d, "score": next(scores) / 1000} for d in one["detections"]]}
        for one, _ in weighted
    ]
    repeated = [one for one, (_, count) in zip(rows, weighted, strict=True) for _ in range(count)]
    if expected := by_pycocotools(repeated):
        assert numbers(rows, [float(count) for _, count in weighted]) == pytest.approx(
            expected, abs=1e-12
        )


def scene(rng: np.random.Generator, extents: tuple[float, ...]) -> dict[str, Any]:
    """Truths, one in five a crowd, each detected near and elsewhere; no two scores are equal."""
    truths, detections = [], []
    for extent in extents:
        category = int(rng.choice(CATEGORIES, p=[0.6, 0.35, 0.05]))
        box = np.array([*rng.uniform(0, 300, 2), extent, extent])
        crowd = int(rng.random() < 0.2)
        truths.append(truth(category, tuple(box)) | {"iscrowd": crowd})
        for spread in (0.05, 0.15, 2.0):
            moved = box + extent * np.append(rng.normal(0, spread, 2), rng.normal(0, 0.1, 2))
            detections.append(said(rng.random(), category, tuple(moved)))
    return image(truths, detections)


def test_replicates_are_pycocotools_on_the_images_drawn() -> None:
    """An image that is drawn k times stands k times in the data set, each under its own id."""
    rng = np.random.default_rng(0)
    rows = [scene(rng, tuple(rng.choice([20, 30, 60, 90], 4))) for _ in range(11)]
    rows.append(scene(rng, (150.0, 200.0)))  # alone with large objects: some draws have none
    weights = resampling_weights(len(rows), replicates=150)
    summed = summarise(match(rows, CATEGORIES), weights)
    assert np.isnan(summed["AP_large"]).any()
    for replicate, counts in enumerate(weights):
        drawn = [one for one, count in zip(rows, counts, strict=True) for _ in range(int(count))]
        assert as_pycocotools_says(summed, replicate) == pytest.approx(
            by_pycocotools(drawn), abs=1e-9
        )


def test_no_detection_at_all_is_zero_and_not_undefined() -> None:
    truth = {"bbox": [10, 10, 40, 40], "area": 1600, "category_id": 1, "iscrowd": 0}
    rows = [{"width": 100, "height": 100, "truths": [truth], "detections": []}]
    found = dict(zip(NAMES, numbers(rows, [1.0]), strict=True))
    assert found["AP"] == found["AR"] == found["AP_medium"] == 0
    assert found["AP_large"] == found["AP_small"] == -1


@settings(max_examples=100, deadline=None)
@given(st.lists(row(), min_size=1, max_size=4))
def test_each_threshold_and_category_is_pycocotools(rows: list[dict[str, Any]]) -> None:
    evaluation = evaluated_by_pycocotools(rows)
    if evaluation is None:
        return
    precision = evaluation.eval["precision"][:, :, :, 0, 2]  # [thresholds, recall, categories]
    summed = summarise(match(rows, CATEGORIES), np.ones((1, len(rows))))
    for i, threshold in enumerate(IOU_THRESHOLDS):
        defined = precision[i][precision[i] > -1]
        if defined.size:
            expected = defined.mean()
            assert summed[f"AP{round(100 * threshold)}"][0] == pytest.approx(expected, abs=1e-12)
    for k, category in enumerate(CATEGORIES):
        defined = precision[:, :, k][precision[:, :, k] > -1]
        if defined.size:
            found = summed[f"AP_category_{category}"][0]
            assert found == pytest.approx(defined.mean(), abs=1e-12)


def truth(category: int = 1, box: tuple[float, ...] = (10, 10, 40, 40)) -> dict[str, Any]:
    return {"bbox": list(box), "area": box[2] * box[3], "category_id": category, "iscrowd": 0}


def said(score: float, category: int = 1, box: tuple[float, ...] = (10, 10, 40, 40)) -> Any:
    return {"bbox": list(box), "score": score, "category_id": category}


def image(truths: list[Any], detections: list[Any]) -> dict[str, Any]:
    return {"width": 100, "height": 100, "truths": truths, "detections": detections}


def test_a_category_that_the_detector_does_not_know_is_missed() -> None:
    rows = [image([truth(1), truth(7)], [said(0.9)])]
    assert summarise(match(rows, [1]), np.ones((1, 1)))["AP"][0] == pytest.approx(0.5)


def test_a_box_takes_the_object_that_it_overlaps_most() -> None:
    there, near = (10, 10, 40, 40), (14, 10, 40, 40)
    for truths, expected in (([truth(1, near), truth(1, there)], 1), ([truth(1, there)] * 2, 1)):
        matches = match([image(truths, [said(0.9, box=there)])], [1])[1, "all"]
        # Of equals the later one, as COCOeval has it.
        assert matches.truth.ravel().tolist() == [expected] * 10


def test_a_box_that_reaches_out_of_a_crowd_is_false_at_the_strictest_threshold_alone() -> None:
    crowd = truth(1, (100, 100, 100, 100)) | {"iscrowd": 1}
    mostly_in = said(0.9, box=(97, 120, 50, 50))  # 94 % of it
    rows = [image([crowd, truth()], [mostly_in, said(0.8)])]
    found = summarise(match(rows, [1]), np.ones((1, 1)))
    assert found["AP90"][0] == pytest.approx(1)
    assert found["AP95"][0] == pytest.approx(1 / 2)


@pytest.mark.parametrize(
    ("name", "most", "extent"),
    [
        *(("AR1", 1, 40), ("AR10", 10, 40), ("AR", 100, 40)),
        *(("AR_small", 100, 20), ("AR_medium", 100, 40), ("AR_large", 100, 120)),
    ],
)
def test_a_find_counts_up_to_the_detections_that_take_part(
    name: str, most: int, extent: float
) -> None:
    there = (10, 10, extent, extent)
    for better, expected in ((most - 1, 1.0), (most, 0.0)):
        elsewhere = [said(0.9, box=(200, 200, 40, 40))] * better
        rows = [image([truth(1, there)], [*elsewhere, said(0.1, box=there)])]
        found = summarise(match(rows, CATEGORIES), np.ones((1, 1)))
        assert found[name][0] == pytest.approx(expected)


def test_precision_and_recall_at_an_operating_point() -> None:
    """One truth found twice, one missed, one box of nothing, one not shown."""
    rows = [
        image(
            [truth(), truth(2, (60, 60, 20, 20))],
            [said(0.9), said(0.8), said(0.7, 3), said(0.4, 2, (60, 60, 20, 20))],
        )
    ]
    matches = match(rows, CATEGORIES, np.array([0.5]), {"all": AREAS["all"]})
    assert operating_point(matches, score=0.5) == (1 / 3, 1 / 2)
    assert operating_point(matches, score=0.4) == (2 / 4, 1)  # the least shown
    assert np.isnan(operating_point(matches, score=0.95)[0])  # nothing is shown


def operating_point(matches: Any, score: float) -> tuple[float, float]:
    """Precision and recall of one image."""
    true, shown, positives = operating_counts(matches, 1, score)
    weights = np.ones((1, 1))
    return float(ratio(true, shown, weights)[0]), float(ratio(true, positives, weights)[0])


def test_ten_boxes_on_one_object_are_one_find_even_at_an_iou_of_a_hundredth() -> None:
    """Mistake 8 of the published study: many predictions matched one truth, in no order."""
    rows = [image([truth()], [said(0.6 + i / 100, box=(10 + i, 10, 40, 40)) for i in range(10)])]
    matches = match(rows, [1], np.array([0.01]), {"all": AREAS["all"]})
    assert operating_point(matches, score=0.5) == (1 / 10, 1)


@pytest.mark.parametrize(
    ("kind", "detections"),
    [
        ("classification", [said(0.9, 2)]),
        ("localisation", [said(0.9, 1, (10, 10, 40, 15))]),
        ("missed", [said(0.9)]),
        ("background", [said(0.9, 1, (70, 70, 9, 9)), said(0.8)]),
        ("duplicate", [said(0.9), said(0.8), said(0.7, 1, (60, 60, 20, 20))]),
    ],
)
def test_lost_precision_names_the_error(kind: str, detections: list[Any]) -> None:
    two = kind in {"duplicate", "missed"}
    truths = [truth(), truth(1, (60, 60, 20, 20))] if two else [truth()]
    lost = lost_precision([image(truths, detections)], CATEGORIES)
    assert lost is not None
    assert max(lost, key=lambda name: lost[name]["gain"]) == kind
    assert lost[kind]["gain"] > 0
    assert lost[kind]["count"] >= 1


def test_without_truths_nothing_is_lost_or_kept() -> None:
    assert lost_precision([image([], [said(0.9)])], CATEGORIES) is None
    assert lost_precision([image([truth() | {"iscrowd": 1}], [said(0.9)])], CATEGORIES) is None


def test_a_detector_that_says_nothing_has_missed_everything() -> None:
    lost = lost_precision([image([truth(), truth(2)], [])], CATEGORIES)
    assert lost is not None
    assert lost["missed"]["count"] == 2
