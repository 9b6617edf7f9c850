"""Pictures to inputs, heads to boxes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantbench.catalog.coco import CATEGORIES
from quantbench.catalog.digits.scenes import Scene
from quantbench.catalog.digits.train import targets
from quantbench.catalog.models import MODELS, find_model
from quantbench.data.samples import Picture
from quantbench.errors import DataError, PredictionError, UsageError
from quantbench.tasks.detection.detector import Detector
from quantbench.tasks.detection.task import Detection

if TYPE_CHECKING:
    from quantbench.study import Model

MODEL = find_model("digits_centernet")
TASK = Detection(MODEL, Path())
SIZE = 160


def picture(value: int = 0, boxes: tuple[tuple[float, ...], ...] = ()) -> Picture:
    truths = tuple(
        {"bbox": list(box), "area": box[2] * box[3], "category_id": 1, "iscrowd": 0}
        for box in boxes
    )
    return Picture("p", np.full((SIZE, SIZE, 3), value, np.uint8), truths)


def heads(*peaks: tuple[int, int, int, float]) -> dict[str, np.ndarray[Any, Any]]:
    """Heads with (row, column, class, score) peaks, each a box of 8 x 4 cells."""
    heatmap = np.full((1, 40, 40, 10), 0.001, np.float32)
    size = np.full((1, 40, 40, 2), [8, 4], np.float32)
    offset = np.full((1, 40, 40, 2), [0.5, 0.25], np.float32)
    for row, column, label, score in peaks:
        heatmap[0, row, column, label] = score
    return {"heatmap": heatmap, "size": size, "offset": offset}


def test_pixels_become_the_detectors_value_range() -> None:
    for value in (0, 51, 255):
        prepared = TASK.prepare(picture(value))
        assert prepared.shape == (1, SIZE, SIZE, 3)
        assert prepared.dtype == np.float32
        assert prepared == pytest.approx(value / 255)


def test_a_float_picture_is_refused_and_never_black() -> None:
    """Mistake 5 of the published study: divided by 255, then cast to uint8."""
    black = Picture("p", np.ones((SIZE, SIZE, 3), np.float32), ())
    with pytest.raises(DataError, match=r"uint8 \(160, 160, 3\)"):
        TASK.prepare(black)


def test_a_peak_becomes_a_box_in_pixels() -> None:
    (said,) = TASK.evidence(picture(), heads((10, 20, 3, 0.9)))["detections"]
    # centre (20.5, 10.25) cells of 4 px, 8 x 4 cells large
    assert said["bbox"] == [20.5 * 4 - 16, 10.25 * 4 - 8, 32, 16]
    assert said["score"] == pytest.approx(0.9)
    assert said["category_id"] == 4


def test_a_neighbour_of_the_same_class_is_suppressed_and_of_another_is_not() -> None:
    said = TASK.evidence(picture(), heads((10, 20, 3, 0.9), (10, 21, 3, 0.8), (10, 21, 5, 0.7)))
    assert [d["category_id"] for d in said["detections"]] == [4, 6]


def test_detections_come_best_first_and_at_most_a_hundred() -> None:
    peaks = [(2 * i % 40, 3 * (2 * i // 40), i % 10, 0.1 + i / 300) for i in range(150)]
    scores = [d["score"] for d in TASK.evidence(picture(), heads(*peaks))["detections"]]
    assert len(scores) == 100
    assert scores == sorted(scores, reverse=True)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(st.integers(0, 100), st.integers(0, 100), st.integers(8, 59), st.integers(8, 59)),
        min_size=1, max_size=1,
    ),
    st.integers(0, 9),
)  # fmt: skip
def test_decoding_inverts_the_training_targets(
    boxes: list[tuple[int, int, int, int]], label: int
) -> None:
    truth = Scene(np.zeros((SIZE, SIZE, 3), np.uint8), np.array(boxes, float), np.array([label]))
    wanted = targets(truth)
    outputs = {name: wanted[name][None] for name in ("heatmap", "size", "offset")}
    best = TASK.evidence(picture(), outputs)["detections"][0]
    assert best["bbox"] == pytest.approx(list(boxes[0]), abs=1e-3)
    assert best["category_id"] == label + 1


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_are_errors(value: float) -> None:
    outputs = heads((1, 1, 1, 0.5))
    outputs["size"][0, 3, 3, 0] = value
    with pytest.raises(PredictionError, match="output 'size' holds NaN or infinity"):
        TASK.evidence(picture(), outputs)


def test_a_model_without_the_heads_is_explained() -> None:
    with pytest.raises(PredictionError, match=r"no output 'heatmap'[^$]*boxes \[1, 4\]"):
        TASK.evidence(picture(), {"boxes": np.zeros((1, 4), np.float32)})


def test_a_model_without_a_description_is_refused() -> None:
    with pytest.raises(UsageError, match="does not say how it is fed"):
        Detection(replace(MODEL, interface=None), Path())


def test_a_perfect_detector_scores_one() -> None:
    boxes = ((10.0, 10.0, 30.0, 40.0), (80.0, 60.0, 50.0, 50.0))
    row = {
        **TASK.evidence(picture(boxes=boxes), heads()),
        "detections": [{"bbox": list(box), "score": 0.9, "category_id": 1} for box in boxes],
    }
    summed = TASK.summarise([row], np.ones((1, 1)))
    assert summed["AP"][0] == summed["AR"][0] == 1
    assert np.isnan(summed["AP_large"][0])


LETTERBOXED = replace(
    MODEL,
    interface=Detector(
        size=(64, 64),
        value_range=(0.0, 255.0),
        decoder="centernet_sides",
        strides=(4,),
        category_ids=(1, 90),
        fit="letterbox",
        padding=7,
        outputs=(("heatmap", "keypoints"), ("sides", "wh")),
    ),
)


@pytest.mark.parametrize(("height", "width"), [(32, 64), (128, 40), (100, 100)])
def test_a_letterboxed_picture_keeps_its_shape(height: int, width: int) -> None:
    image = np.full((height, width, 3), 200, np.uint8)
    prepared = Detection(LETTERBOXED, Path()).prepare(Picture("p", image, ()))[0, :, :, 0]
    inside = prepared == 200
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    scale = 64 / max(height, width)
    assert (len(rows), len(columns)) == (round(height * scale), round(width * scale))
    assert abs(rows[0] - (63 - rows[-1])) <= 1  # in the middle
    assert abs(columns[0] - (63 - columns[-1])) <= 1
    assert (prepared[~inside] == 7).all()


def test_a_box_comes_back_into_the_pixels_of_the_picture() -> None:
    """The offset and scale of the letterbox are undone, and the roles of the outputs found."""
    heatmap = np.zeros((1, 16, 16, 2), np.float32)
    sides = np.zeros((1, 16, 16, 4), np.float32)
    heatmap[0, 8, 4, 1] = 0.9
    sides[0, 8, 4] = 6, 5, 10, 7  # left, top, right, bottom of (16, 32) in input pixels
    wide = Picture("p", np.zeros((64, 128, 3), np.uint8), ())  # scale 1/2, 16 rows above
    row = Detection(LETTERBOXED, Path()).evidence(wide, {"keypoints": heatmap, "wh": sides})
    (said,) = row["detections"]
    assert said["bbox"] == [2 * (16 - 6), 2 * (32 - 5 - 16), 2 * 16, 2 * 12]
    assert said["category_id"] == 90  # the 91-based id, not the channel
    assert (row["height"], row["width"]) == (64, 128)


def test_a_label_map_that_is_no_bijection_is_refused() -> None:
    assert LETTERBOXED.interface is not None
    with pytest.raises(UsageError, match="the same category id"):
        replace(LETTERBOXED.interface, category_ids=(1, 1))


def test_categories_that_the_annotations_do_not_have_are_refused() -> None:
    """`range(1, 81)` for COCO: AP .107 against .107 was a pass."""
    assert LETTERBOXED.interface is not None
    blank = np.zeros((8, 8, 3), np.uint8)
    coco = [Picture("p", blank, (), CATEGORIES)]
    mistaken = replace(LETTERBOXED.interface, category_ids=tuple(range(1, 81)))
    with pytest.raises(
        DataError, match=r"(?s)1 person, 2 bicycle.*and 68 more.*12, 26, 29, 30, 45, 66, 68, 69, 71"
    ):
        Detection(replace(MODEL, interface=mistaken), Path()).check(coco)
    for ids, unused in ((tuple(CATEGORIES), ()), ((1, 90), ()), (tuple(range(1, 13)), (12,))):
        known = replace(mistaken, category_ids=ids, unused=unused)
        Detection(replace(MODEL, interface=known), Path()).check(coco)
    Detection(replace(MODEL, interface=mistaken), Path()).check([Picture("p", blank, ())])
    with pytest.raises(UsageError, match="unused categories are none of its own"):
        replace(mistaken, unused=(90,))


@pytest.mark.parametrize(
    "model", [m for m in MODELS.values() if isinstance(m.interface, Detector)], ids=str
)
def test_detectors_by_name_have_the_categories_of_their_data_sets(model: Model) -> None:
    known = CATEGORIES if "coco" in model.datasets else {i: str(i) for i in range(1, 11)}
    Detection(model, Path()).check([Picture("p", np.zeros((8, 8, 3), np.uint8), (), known)])


def test_coco_has_80_categories_among_91_ids() -> None:
    detector = find_model("centernet_mobilenetv3").interface
    assert detector is not None
    assert len(detector.category_ids) == 80
    assert (detector.category_ids[0], detector.category_ids[-1]) == (1, 90)
    assert not {12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91} & set(detector.category_ids)
