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

from quantbench.metrics.average_precision import match, summarise

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
    said = [
        {**one, "bbox": [*one["bbox"][:2], *(max(v, 1.0) for v in one["bbox"][2:])]}
        for one in [*near, *stray]
    ]
    scores = draw(st.lists(st.integers(1, 6), min_size=len(said), max_size=len(said)))
    detections = [{**one, "score": score / 7} for one, score in zip(said, scores, strict=True)]
    return {"width": 200, "height": 200, "truths": true, "detections": detections}


def by_pycocotools(rows: list[dict[str, Any]]) -> list[float]:
    """COCO's twelve numbers; -1 where undefined."""
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
            return []
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(number) for number in evaluation.stats]


def numbers(rows: list[dict[str, Any]], weights: list[float]) -> list[float]:
    summed = summarise(match(rows, CATEGORIES), np.array([weights], dtype=float))
    assert tuple(summed) == NAMES
    return [-1.0 if np.isnan(values[0]) else float(values[0]) for values in summed.values()]


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


def test_all_replicates_are_summed_up_alike() -> None:
    rng = np.random.default_rng(0)
    rows = [
        {
            "width": 100,
            "height": 100,
            "truths": [
                {"bbox": [10, 10, 40, 40], "area": 1600, "category_id": 1 + i % 3, "iscrowd": 0}
            ],
            "detections": [
                {
                    "bbox": [10, 10, 40, 40 + 10 * rng.random()],
                    "score": rng.random(),
                    "category_id": 1 + int(rng.integers(3)),
                }
            ],
        }
        for i in range(30)
    ]
    weights = rng.integers(0, 3, (50, 30)).astype(float)
    together = summarise(match(rows, CATEGORIES), weights)
    for index in (0, 17, 49):
        alone = summarise(match(rows, CATEGORIES), weights[index : index + 1])
        for name in NAMES:
            np.testing.assert_allclose(together[name][index], alone[name][0], rtol=1e-12)


def test_no_detection_at_all_is_zero_and_not_undefined() -> None:
    truth = {"bbox": [10, 10, 40, 40], "area": 1600, "category_id": 1, "iscrowd": 0}
    rows = [{"width": 100, "height": 100, "truths": [truth], "detections": []}]
    found = dict(zip(NAMES, numbers(rows, [1.0]), strict=True))
    assert found["AP"] == found["AR"] == found["AP_medium"] == 0
    assert found["AP_large"] == found["AP_small"] == -1
