"""YOLOX heads (Ge et al., "YOLOX: Exceeding YOLO Series in 2021")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.tasks.detection.decoders.found import Found, grid, output, without_duplicates

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from quantbench.tasks.detection.detector import Detector

_MIN_SCORE = 0.01  # the reference implementation's for COCO, as is the next
_OVERLAP = 0.65


def decode(outputs: Mapping[str, NDArray[Any]], detector: Detector) -> Found:
    """Each cell's one box, with the class that objectness times class score favours.

    Args:
        outputs: `predictions` [1, n, 5 + classes] over all strides, row by row: x, y in cells
            from the cell's corner, log of width and height in cells, objectness and class scores
            in [0, 1].
        detector: its strides, size and number of categories say the shape.
    """
    corners = [grid(detector.size, stride, 0.0) for stride in detector.strides]
    steps = np.concatenate(
        [
            np.full(len(corner), stride, np.float32)
            for corner, stride in zip(corners, detector.strides, strict=True)
        ]
    )
    shape = (1, len(steps), 5 + len(detector.category_ids))
    said = output(outputs, "predictions", lambda s: s == shape)[0]
    centre = said[:, :2] * steps[:, None] + np.concatenate(corners)
    extent = np.exp(said[:, 2:4]) * steps[:, None]
    boxes = np.concatenate([centre - extent / 2, extent], axis=1)
    labels = said[:, 5:].argmax(axis=1)  # one class a cell, also where two score alike
    scores = said[:, 4] * said[np.arange(len(said)), 5 + labels]
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] >= _MIN_SCORE]
    return without_duplicates(Found(boxes[order], scores[order], labels[order]), _OVERLAP)
