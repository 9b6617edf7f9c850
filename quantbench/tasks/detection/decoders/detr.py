"""DETR's queries (Carion et al., "End-to-End Object Detection with Transformers", 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.tasks.detection.decoders.found import MAX_DETECTIONS, Found, output

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from quantbench.tasks.detection.detector import Detector


def decode(outputs: Mapping[str, NDArray[Any]], detector: Detector) -> Found:
    """Each query's likeliest class but "no object", which is the last; nothing is suppressed.

    Args:
        outputs: `logits` [1, queries, classes + 1] and `boxes` [1, queries, 4] as shares of the
            input (centre x, centre y, width, height).
        detector: its size turns shares into pixels.
    """
    classes = len(detector.category_ids)
    logits = output(outputs, "logits", lambda shape: shape[-1] == classes + 1)[0]
    said = output(outputs, "boxes", lambda shape: shape[-1] == 4)[0]  # noqa: PLR2004 - a box
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    scores = (odds / odds.sum(axis=-1, keepdims=True))[:, :-1]
    best = scores.max(axis=-1)
    order = np.argsort(-best, kind="stable")[:MAX_DETECTIONS]
    height, width = detector.size
    boxes = said[order] * np.array([width, height, width, height], said.dtype)
    boxes[:, :2] -= boxes[:, 2:] / 2
    return Found(boxes, best[order], scores[order].argmax(axis=-1))
