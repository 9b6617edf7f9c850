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
    """Peaks with the size and sub-cell offset of Zhou et al., in input pixels, best first.

    Args:
        outputs: `heatmap` [1, rows, columns, classes] in [0, 1], `size` and `offset`
            [1, rows, columns, 2] as (x, y) in output cells.
        detector: its `stride` turns cells into pixels.
    """
    row, column, label, scores = _peaks(outputs["heatmap"][0])
    size, offset = (outputs[name][0][row, column] for name in ("size", "offset"))
    extent = np.maximum(size, 0.0) * detector.stride
    centre = (np.stack([column, row], axis=1) + offset) * detector.stride
    return _results(np.concatenate([centre - extent / 2, extent], axis=1), scores, label, detector)


def decode_sides(
    outputs: Mapping[str, NDArray[np.float32]], detector: Detector
) -> list[dict[str, Any]]:
    """Peaks with their distances to the four sides (TTFNet: Liu et al., 2020), best first.

    Args:
        outputs: `heatmap` [1, rows, columns, classes] in [0, 1], `sides` [1, rows, columns, 4]:
            left, top, right, bottom of the cell's corner, in input pixels.
        detector: its `stride` turns cells into pixels.
    """
    row, column, label, scores = _peaks(outputs["heatmap"][0])
    sides = outputs["sides"][0][row, column]
    centre = np.stack([column, row], axis=1) * detector.stride
    corner = centre - sides[:, :2]
    extent = np.maximum(sides[:, :2] + sides[:, 2:], 0.0)
    return _results(np.concatenate([corner, extent], axis=1), scores, label, detector)


def _peaks(heatmap: NDArray[np.float32]) -> tuple[NDArray[Any], ...]:
    """Rows, columns, classes and scores of the 100 best peaks.

    A peak is a cell that no neighbour of its class exceeds (the paper's 3 x 3 max pooling);
    peaks under .01 are dropped.
    """
    padded = np.pad(heatmap, ((1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    wide = np.maximum(np.maximum(padded[:-2], padded[1:-1]), padded[2:])
    around = np.maximum(np.maximum(wide[:, :-2], wide[:, 1:-1]), wide[:, 2:])
    found = np.flatnonzero((heatmap == around) & (heatmap >= _MIN_SCORE))
    scores = heatmap.ravel()[found]
    best = np.argsort(-scores, kind="stable")[:_MAX_DETECTIONS]
    row, column, label = np.unravel_index(found[best], heatmap.shape)
    return row, column, label, scores[best]


def _results(
    boxes: NDArray[Any], scores: NDArray[Any], labels: NDArray[Any], detector: Detector
) -> list[dict[str, Any]]:
    return [
        {
            "bbox": [float(v) for v in box],
            "score": float(score),
            "category_id": detector.category_ids[label],
        }
        for box, score, label in zip(boxes, scores, labels, strict=True)
    ]
