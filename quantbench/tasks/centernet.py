"""Boxes out of CenterNet heads (Zhou et al., "Objects as Points", 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from quantbench.study import Detector

_MAX_DETECTIONS = 100
_MIN_SCORE = 0.01


def decode(outputs: Mapping[str, NDArray[np.float32]], detector: Detector) -> list[dict[str, Any]]:
    """The 100 best peaks as COCO results in input pixels, best first.

    Args:
        outputs: `heatmap` [1, rows, columns, classes] in [0, 1], `size` and `offset`
            [1, rows, columns, 2] as (x, y) in output cells.
        detector: its `stride` turns cells into pixels; category ids count from 1.

    A peak is a cell that no neighbour of its class exceeds (the paper's 3 x 3 max pooling);
    peaks under .01 are dropped.
    """
    heatmap, size, offset = (outputs[name][0] for name in ("heatmap", "size", "offset"))
    rows, columns, classes = heatmap.shape
    padded = np.pad(heatmap, ((1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    around = np.max(
        [padded[r : r + rows, c : c + columns] for r in range(3) for c in range(3)], axis=0
    )
    scores = np.where((heatmap == around) & (heatmap >= _MIN_SCORE), heatmap, 0.0).ravel()
    best = np.argsort(-scores, kind="stable")[:_MAX_DETECTIONS]
    best = best[scores[best] > 0]
    row, column, label = np.unravel_index(best, (rows, columns, classes))
    extent = np.maximum(size[row, column], 0.0) * detector.stride
    centre = (np.stack([column, row], axis=1) + offset[row, column]) * detector.stride
    boxes = np.concatenate([centre - extent / 2, extent], axis=1).astype(np.float64)
    return [
        {
            "bbox": [round(float(v), 3) for v in box],
            "score": float(score),
            "category_id": int(category) + 1,
        }
        for box, score, category in zip(boxes, scores[best], label, strict=True)
    ]
