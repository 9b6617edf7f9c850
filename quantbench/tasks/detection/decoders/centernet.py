"""Boxes out of CenterNet heads (Zhou et al., "Objects as Points", 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.tasks.detection.decoders.found import (
    MAX_DETECTIONS,
    Found,
    by_name_only,
    channels_last,
    output,
)
from quantbench.tasks.detection.metrics.kernels import peaks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from quantbench.tasks.detection.detector import Detector

_MIN_SCORE = 0.01


def decode(outputs: Mapping[str, NDArray[np.float32]], detector: Detector) -> Found:
    """Peaks with the size and sub-cell offset of Zhou et al., in input pixels.

    Args:
        outputs: `heatmap` [1, rows, columns, classes] in [0, 1], `size` and `offset`
            [1, rows, columns, 2] as (x, y) in output cells; channels may come first.
        detector: its one stride turns cells into pixels.
    """
    row, column, label, scores = _peaks(_heatmap(outputs, detector))
    size, offset = (
        channels_last(output(outputs, name, by_name_only), 2, name)[0][row, column]
        for name in ("size", "offset")
    )
    (stride,) = detector.strides
    extent = np.maximum(size, 0.0) * stride
    centre = (np.stack([column, row], axis=1) + offset) * stride
    return Found(np.concatenate([centre - extent / 2, extent], axis=1), scores, label)


def decode_sides(outputs: Mapping[str, NDArray[np.float32]], detector: Detector) -> Found:
    """Peaks with their distances to the four sides (TTFNet: Liu et al., 2020).

    Args:
        outputs: `heatmap` [1, rows, columns, classes] in [0, 1], `sides` [1, rows, columns, 4]:
            left, top, right, bottom of the cell's corner, in input pixels.
        detector: its one stride turns cells into pixels.
    """
    row, column, label, scores = _peaks(_heatmap(outputs, detector))
    sides = output(outputs, "sides", lambda shape: 4 in {shape[-1], shape[1]})  # noqa: PLR2004
    sides = channels_last(sides, 4, "sides")[0][row, column]
    (stride,) = detector.strides
    corner = np.stack([column, row], axis=1) * stride - sides[:, :2]
    extent = np.maximum(sides[:, :2] + sides[:, 2:], 0.0)
    return Found(np.concatenate([corner, extent], axis=1), scores, label)


def _heatmap(outputs: Mapping[str, NDArray[Any]], detector: Detector) -> NDArray[Any]:
    classes = len(detector.category_ids)
    heatmap = output(outputs, "heatmap", lambda shape: classes in {shape[-1], shape[1]})
    found: NDArray[Any] = channels_last(heatmap, classes, "heatmap")[0]
    return found


def _peaks(heatmap: NDArray[np.float32]) -> tuple[NDArray[Any], ...]:
    """Rows, columns, classes and scores of the 100 best peaks, best first.

    A peak is a cell that no neighbour of its class exceeds (the paper's 3 x 3 max pooling);
    cells under .01 are no peaks.
    """
    found = peaks(np.ascontiguousarray(heatmap), np.float32(_MIN_SCORE))
    scores = heatmap.ravel()[found]
    best = np.argsort(-scores, kind="stable")[:MAX_DETECTIONS]
    row, column, label = np.unravel_index(found[best], heatmap.shape)
    return row, column, label, scores[best]
