"""Axis-aligned boxes: areas, intersection over union, and conversions between layouts.

Layouts, the last axis always of length 4:

    xyxy              left, top, right, bottom in pixels
    xywh              left, top, width, height in pixels (COCO's)
    normalized yxyx   top, left, bottom, right as shares of the image (TensorFlow's)

Floating input keeps its dtype, anything else becomes float64. A box without area is allowed and
overlaps nothing; an inverted one (right of its left, or of negative width) is an error, and so are
NaN and infinity: they come from broken decoding, and an IoU of them would hide it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Boxes = NDArray[np.floating[Any]]


def area(boxes: ArrayLike) -> Boxes:
    """Areas of xyxy boxes, [..., 4] -> [...], >= 0 in squared pixels.

    Raises:
        DataError: a box is inverted or not finite, or the last axis is not 4 long.
    """
    checked = _checked(boxes)
    return np.asarray(_area(checked.astype(np.float64)), dtype=checked.dtype)


def iou(boxes: ArrayLike, others: ArrayLike, *, crowd: ArrayLike | None = None) -> Boxes:
    """Intersection over union of every pair of xyxy boxes, [n, 4] and [m, 4] -> [n, m] in [0, 1].

    Args:
        boxes: usually the detections.
        others: usually the truths.
        crowd: for each of `others`, whether COCO's crowd rule holds: the union is then the area
            of the detection alone, since a crowd region may contain any number of objects
            (Lin et al., 2014; `iscrowd` in pycocotools.mask.iou).

    A pair whose union has no area has IoU 0. Computed in float64, whatever the input.

    Raises:
        DataError: a box is inverted or not finite, or shapes do not fit.
    """
    first, second = _checked(boxes), _checked(others)
    dtype = np.result_type(first, second)
    if first.ndim != 2 or second.ndim != 2:  # noqa: PLR2004 - a list of boxes
        raise DataError(
            "IoU takes two lists of boxes",
            expected="[n, 4] and [m, 4]",
            got=f"{first.shape} and {second.shape}",
        )
    return np.asarray(_shares(first[:, None], second[None], crowd), dtype=dtype)


def paired_iou(boxes: ArrayLike, others: ArrayLike) -> Boxes:
    """Intersection over union of the first with the first, and so on, [n, 4] twice -> [n].

    Raises:
        DataError: as `iou`.
    """
    first, second = _checked(boxes), _checked(others)
    if first.shape != second.shape or first.ndim != 2:  # noqa: PLR2004 - a list of boxes
        raise DataError(
            "paired IoU takes two lists of as many boxes",
            expected="[n, 4] and [n, 4]",
            got=f"{first.shape} and {second.shape}",
        )
    return np.asarray(_shares(first, second), dtype=np.result_type(first, second))


def xywh_to_xyxy(boxes: ArrayLike) -> Boxes:
    """Corner and extent to two corners, [..., 4].

    Raises:
        DataError: a width or height is negative, or a number is not finite.
    """
    values = _floating(boxes)
    return _checked(np.concatenate([values[..., :2], values[..., :2] + values[..., 2:]], axis=-1))


def xyxy_to_xywh(boxes: ArrayLike) -> Boxes:
    """Two corners to corner and extent, [..., 4].

    Raises:
        DataError: a box is inverted or not finite.
    """
    values = _checked(boxes)
    return np.concatenate([values[..., :2], values[..., 2:] - values[..., :2]], axis=-1)


def normalized_yxyx_to_xyxy(boxes: ArrayLike, *, height: float, width: float) -> Boxes:
    """TensorFlow's boxes to pixels of an image of this size, [..., 4].

    Shares beyond [0, 1] are legal (a detector may point outside the image); shares beyond
    [-1, 2] are refused, because they are pixels that somebody took for shares.

    Raises:
        DataError: the values are no shares, inverted, or not finite.
    """
    values = _checked(boxes)
    if values.size and not (values.min() >= -1 and values.max() <= 2):  # noqa: PLR2004
        raise DataError(
            "normalized boxes must be shares of the image",
            expected="values around [0, 1]",
            got=f"values from {values.min():g} to {values.max():g}",
            remedy="these are pixels already: do not scale them again",
        )
    scale = np.array([width, height, width, height], dtype=values.dtype)
    return np.asarray(values[..., [1, 0, 3, 2]] * scale)


def xyxy_to_normalized_yxyx(boxes: ArrayLike, *, height: float, width: float) -> Boxes:
    """Pixels to TensorFlow's shares of an image of this size, [..., 4].

    Raises:
        DataError: a box is inverted or not finite.
    """
    values = _checked(boxes)
    scale = np.array([width, height, width, height], dtype=values.dtype)
    return np.asarray((values / scale)[..., [1, 0, 3, 2]])


def _shares(first: Boxes, second: Boxes, crowd: ArrayLike | None = None) -> NDArray[np.float64]:
    a, b = first.astype(np.float64), second.astype(np.float64)
    overlap = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    intersection = np.prod(np.maximum(overlap, 0.0), axis=-1)
    union = _area(a) + _area(b) - intersection
    if crowd is not None:
        union = np.where(np.asarray(crowd, dtype=bool), _area(a), union)
    # At most 1 in floating point too: no step rounds the intersection above either area.
    return np.asarray(
        np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)
    )


def _area(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1]))


def _floating(boxes: ArrayLike) -> Boxes:
    values = np.asarray(boxes)
    if values.size == 0 and values.ndim == 1:
        values = values.reshape(0, 4)
    if values.ndim == 0 or values.shape[-1] != 4:  # noqa: PLR2004 - a box
        raise DataError("a box has four numbers", expected="[..., 4]", got=values.shape)
    if not np.issubdtype(values.dtype, np.floating):
        values = values.astype(np.float64)
    return values


def _checked(boxes: ArrayLike) -> Boxes:
    values = _floating(boxes)
    if not np.isfinite(values).all():
        where = np.argwhere(~np.isfinite(values).all(axis=-1))[0].tolist()
        raise DataError("a box holds NaN or infinity", where=f"box {where}")
    inverted = (values[..., 2:] < values[..., :2]).any(axis=-1)
    if inverted.any():
        where = np.argwhere(inverted)[0].tolist()
        raise DataError(
            "a box is inverted",
            where=f"box {where}",
            expected="xyxy with right >= left and bottom >= top",
            got=values[tuple(where)].tolist(),
            remedy="convert first (xywh_to_xyxy), or look at how the outputs are decoded",
        )
    return values
