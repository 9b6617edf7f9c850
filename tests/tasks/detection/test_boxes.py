"""IoU: its algebra, and two oracles that share no code with it or with each other."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask

from quantbench.errors import DataError
from quantbench.tasks.detection.metrics.boxes import (
    area,
    iou,
    normalized_yxyx_to_xyxy,
    paired_iou,
    xywh_to_xyxy,
    xyxy_to_normalized_yxyx,
    xyxy_to_xywh,
)

Box = tuple[float, float, float, float]
coordinates = st.floats(-1000, 1000, width=32)
extents = st.floats(0, 500, width=32)
positive = st.floats(1 / 8, 500, width=32)


def corners(box: Box) -> Box:
    x, y, width, height = box
    return x, y, x + width, y + height


boxes = st.tuples(coordinates, coordinates, extents, extents).map(corners)
solid = st.tuples(coordinates, coordinates, positive, positive).map(corners)


def one(a: Any, b: Any, **options: Any) -> float:
    return float(iou([a], [b], **options)[0, 0])


def exactly(a: Box, b: Box) -> Fraction:
    """The definition in rational arithmetic."""
    p, q = [Fraction(v) for v in a], [Fraction(v) for v in b]
    width = max(min(p[2], q[2]) - max(p[0], q[0]), Fraction(0))
    height = max(min(p[3], q[3]) - max(p[1], q[1]), Fraction(0))
    union = (p[2] - p[0]) * (p[3] - p[1]) + (q[2] - q[0]) * (q[3] - q[1]) - width * height
    return width * height / union if union else Fraction(0)


@given(boxes, boxes)
def test_it_is_the_exact_ratio(a: Box, b: Box) -> None:
    assert one(a, b) == pytest.approx(float(exactly(a, b)), rel=1e-12, abs=1e-12)


@given(st.lists(solid, min_size=1, max_size=5), st.lists(solid, min_size=1, max_size=5), st.data())
def test_it_is_pycocotools(a: list[Box], b: list[Box], data: st.DataObject) -> None:
    crowd = data.draw(st.lists(st.booleans(), min_size=len(b), max_size=len(b)))
    theirs = mask.iou(xyxy_to_xywh(a), xyxy_to_xywh(b), [int(c) for c in crowd])
    np.testing.assert_allclose(iou(a, b, crowd=crowd), theirs, rtol=1e-9, atol=1e-12)


@given(boxes, boxes)
def test_it_is_symmetric_and_in_range(a: Box, b: Box) -> None:
    assert one(a, b) == one(b, a)
    assert 0 <= one(a, b) <= 1


@given(solid)
def test_a_box_is_itself(a: Box) -> None:
    assert one(a, a) == 1


@given(boxes, st.floats(0, 100, width=32), boxes)
def test_disjoint_is_zero(a: Box, gap: float, b: Box) -> None:
    left = a[2] + gap  # not a shift of b, which rounding may leave overlapping
    assert one(a, (left, b[1], left + (b[2] - b[0]) + 1e-9, b[3])) == pytest.approx(0, abs=1e-9)
    assert one(a, (a[2] + gap, b[1], a[2] + gap + 1, b[3])) == 0


integers = st.tuples(*[st.integers(-100, 100)] * 2, *[st.integers(0, 60)] * 2).map(corners)


@given(integers, integers, st.integers(-1000, 1000), st.integers(-1000, 1000))
def test_translation_changes_nothing(a: Box, b: Box, dx: int, dy: int) -> None:
    shift = np.array([dx, dy, dx, dy])
    assert one(a + shift, b + shift) == one(a, b)


@given(integers, integers, st.sampled_from([0.25, 0.5, 2.0, 8.0]))
def test_positive_scaling_changes_nothing(a: Box, b: Box, scale: float) -> None:
    assert one(np.multiply(a, scale), np.multiply(b, scale)) == one(a, b)


@given(boxes, boxes)
def test_swapping_the_axes_of_both_changes_nothing(a: Box, b: Box) -> None:
    """And of one it does: mistake 7 of the published study compared x-first with y-first."""
    swapped = [1, 0, 3, 2]
    assert one(np.array(a)[swapped], np.array(b)[swapped]) == pytest.approx(one(a, b), rel=1e-12)
    assert one((0, 0, 10, 2), (0, 0, 2, 10)) == 4 / 36


@given(solid, *[st.floats(0, 1)] * 4)
def test_containment_is_the_ratio_of_areas(a: Box, l: float, t: float, w: float, h: float) -> None:  # noqa: E741
    width, height = a[2] - a[0], a[3] - a[1]
    left, top = a[0] + l * width, a[1] + t * height
    inside = (left, top, left + w * (a[2] - left), top + h * (a[3] - top))
    expected = float(area([inside])[0]) / float(area([a])[0])
    assert one(a, inside) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@given(integers, integers, st.integers(1, 60))
def test_cutting_off_a_strip_that_is_not_shared_never_lowers_it(a: Box, b: Box, cut: int) -> None:
    kept = max(a[2] - cut, a[0])
    if kept >= b[2]:  # what is cut off lies beyond b
        assert one((*a[:2], kept, a[3]), b) >= one(a, b)


@given(boxes)
def test_a_box_without_area_overlaps_nothing(a: Box) -> None:
    point = (a[0], a[1], a[0], a[1])
    assert one(point, a) == one(a, point) == one(point, point) == 0


@pytest.mark.parametrize("function", [area, lambda b: iou(b, [[0, 0, 1, 1]]), xyxy_to_xywh])
@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((0, 0, np.nan, 1), "NaN or infinity"),
        ((0, 0, np.inf, 1), "NaN or infinity"),
        ((5, 0, 4, 1), "inverted"),
        ((0, 5, 1, 4), "inverted"),
        ((0, 0, 1), "four numbers"),
    ],
)
def test_what_is_no_box_is_refused(function: Any, box: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        function([box])


@pytest.mark.parametrize("wrong", [[3, 0, 2, 1], [0, 0, np.nan, 1]])
def test_an_error_names_the_first_such_box(wrong: list[float]) -> None:
    fine = [0.0, 0.0, 1.0, 1.0]
    with pytest.raises(DataError, match=r"where:\s+box \[1\]"):
        area([fine, wrong, wrong, fine])
    with pytest.raises(DataError, match=r"where:\s+box \[1, 0\]"):
        area([[fine, fine], [wrong, wrong], [fine, wrong]])


@given(st.lists(st.tuples(boxes, boxes), min_size=1, max_size=5))
def test_in_pairs_it_is_what_it_is_alone(pairs: list[tuple[Box, Box]]) -> None:
    found = paired_iou([a for a, _ in pairs], [b for _, b in pairs])
    assert found.tolist() == [one(a, b) for a, b in pairs]


@pytest.mark.parametrize("others", [[[0, 0, 1, 1]] * 2, [[[0, 0, 1, 1]]], [0, 0, 1, 1]])
def test_lists_that_make_no_pairs_are_refused(others: Any) -> None:
    with pytest.raises(DataError, match="two lists of as many boxes"):
        paired_iou([[0, 0, 1, 1]], others)


@pytest.mark.parametrize("alone", [[0, 0, 1, 1], [[[0, 0, 1, 1]]]])
def test_what_is_no_list_makes_no_pairs(alone: Any) -> None:
    with pytest.raises(DataError, match="two lists of boxes"):
        iou(alone, [[0, 0, 1, 1]])
    with pytest.raises(DataError, match="two lists of boxes"):
        iou([[0, 0, 1, 1]], alone)
    with pytest.raises(DataError, match="two lists of as many boxes"):
        paired_iou(alone, alone)


def test_any_number_of_axes_may_come_before_the_last() -> None:
    """As of models that put out [batch, boxes, 4]."""
    stack = np.array([[[0, 0, 4, 2], [1, 2, 5, 9]], [[2, 2, 2, 2], [0, 1, 3, 7]]])
    assert area(stack).tolist() == [[8, 28], [0, 18]]
    for convert in (xyxy_to_xywh, xywh_to_xyxy):
        expected = [[convert(box).tolist() for box in boxes] for boxes in stack]
        assert convert(stack).tolist() == expected


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_dtype_is_kept(dtype: Any) -> None:
    some = np.array([[0, 0, 4, 4]], dtype=dtype)
    for result in (area(some), iou(some, some), xyxy_to_xywh(some), xywh_to_xyxy(some)):
        assert result.dtype == dtype
    assert iou(some.astype(int), some.astype(int)).dtype == np.float64


def test_a_number_is_no_box() -> None:
    with pytest.raises(DataError, match="four numbers"):
        area(5.0)


def test_no_boxes_are_no_pairs() -> None:
    assert iou([], [[0, 0, 1, 1]]).shape == (0, 1)
    assert iou([[0, 0, 1, 1]], []).shape == (1, 0)


@given(st.lists(integers, min_size=1, max_size=4))
def test_conversions_invert(some: list[Box]) -> None:
    there = np.array(some, dtype=float)
    np.testing.assert_array_equal(xywh_to_xyxy(xyxy_to_xywh(there)), there)
    inside = np.clip(there, 0, 64)
    shares = xyxy_to_normalized_yxyx(inside, height=64, width=128)
    np.testing.assert_array_equal(normalized_yxyx_to_xyxy(shares, height=64, width=128), inside)


def test_a_normalized_box_is_y_first() -> None:
    (box,) = normalized_yxyx_to_xyxy([[0.1, 0.2, 0.5, 0.6]], height=100, width=1000)
    assert box.tolist() == pytest.approx([200, 10, 600, 50])


def test_pixels_are_not_taken_for_shares() -> None:
    """And shares are not divided by the image's size again: mistake 7 of the published study."""
    with pytest.raises(DataError, match="these are pixels already"):
        normalized_yxyx_to_xyxy([[10, 20, 50, 60]], height=100, width=100)


def test_shares_a_little_outside_the_image_are_boxes() -> None:
    outside = [[-1.0, -1.0, 2.0, 2.0]]
    assert normalized_yxyx_to_xyxy(outside, height=10, width=20).tolist() == [[-20, -10, 40, 20]]
    for beyond in ([-1.01, 0, 1, 1], [0, 0, 1, 2.01]):
        with pytest.raises(DataError, match="must be shares"):
            normalized_yxyx_to_xyxy([beyond], height=10, width=20)
