"""Detectors that decode themselves: SSD (Liu et al., 2016) and TF2 Object Detection models.

What is left is reading their outputs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.errors import PredictionError
from quantbench.tasks.detection.decoders.found import (
    MAX_DETECTIONS,
    Found,
    by_name_only,
    output,
    yxyx_to_xywh,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from quantbench.tasks.detection.detector import Detector


def decode_postprocess(outputs: Mapping[str, NDArray[Any]], detector: Detector) -> Found:
    """Outputs of LiteRT's custom op TFLite_Detection_PostProcess.

    Args:
        outputs: `boxes` [1, n, 4] as shares of the input (top, left, bottom, right), `classes`
            [1, n] from 0 without the background, `scores` [1, n] in [0, 1], `count` [1]: how many
            of the n are meant; the others are whatever was in memory.
        detector: its size turns shares into pixels.
    """
    count = int(np.rint(output(outputs, "count", lambda shape: shape in {(1,), ()})).item())
    meant = {name: v[:, :count] if v.ndim > 1 else v for name, v in outputs.items()}
    return _read(meant, detector, _POSTPROCESS, 0, detector.size)


def decode_tf2(outputs: Mapping[str, NDArray[Any]], detector: Detector) -> Found:
    """Outputs of a TF2 Object Detection API model, as on Kaggle.

    Their `num_detections` is not read: LiteRT always suppresses into as many rows as there can
    be, so that a count taken from a shape says the maximum. Rows that mean nothing score 0.

    Args:
        outputs: `detection_boxes` [1, n, 4] as shares of the input (top, left, bottom, right),
            `detection_classes` [1, n] from 1, `detection_scores` [1, n].
        detector: its size turns shares into pixels.
    """
    return _read(outputs, detector, _TF2, 1, detector.size)


def decode_tf2_pixels(outputs: Mapping[str, NDArray[Any]], detector: Detector) -> Found:
    """The same three outputs with boxes in pixels of the input, as EfficientDet-Lite says them."""
    return _read(outputs, detector, _TF2, 1, (1, 1))


_LARGEST_SHARE = 2.0  # a detector may point beyond the picture
_POSTPROCESS = ("boxes", "classes", "scores")
_TF2 = ("detection_boxes", "detection_classes", "detection_scores")


def _read(
    outputs: Mapping[str, NDArray[Any]],
    detector: Detector,
    roles: tuple[str, ...],
    first_class: int,
    scale: tuple[int, int],
) -> Found:
    boxes = output(outputs, roles[0], lambda shape: shape[-1] == 4)[0]  # noqa: PLR2004 - a box
    classes, scores = (output(outputs, role, by_name_only)[0] for role in roles[1:])
    labels = np.rint(classes).astype(np.int64) - first_class
    order = np.argsort(-scores, kind="stable")
    known = (scores > 0) & (labels >= 0) & (labels < len(detector.category_ids))
    order = order[known[order]][:MAX_DETECTIONS]
    _check_units(boxes[order], scale)
    return Found(yxyx_to_xywh(boxes[order], scale), scores[order], labels[order])


def _check_units(boxes: NDArray[Any], scale: tuple[int, int]) -> None:
    """Shares are around [0, 1], pixels are not: neither is scaled as if it were the other."""
    largest = float(boxes.max(initial=0.0))
    pixels = scale == (1, 1)
    if boxes.size and (largest > _LARGEST_SHARE) != pixels:
        raise PredictionError(
            "the boxes are " + ("shares of the picture" if pixels else "pixels already"),
            expected="pixels" if pixels else f"shares, at most {_LARGEST_SHARE:g}",
            got=f"values up to {largest:g}",
            remedy="the other decoder of the two: tf2_detection for shares, "
            "tf2_detection_pixels for pixels",
        )
