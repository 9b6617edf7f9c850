"""NanoDet's heads (RangiLyu, 2020; generalized focal loss: Li et al., 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.tasks.detection.decoders.found import Found, best, grid, output, without_duplicates

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from quantbench.tasks.detection.detector import Detector

_MIN_SCORE = 0.05  # the reference implementation's, as is the next
_OVERLAP = 0.6
_BINS = range(2, 33)  # of one side; published models have 8 or 11


def decode(outputs: Mapping[str, NDArray[Any]], detector: Detector) -> Found:
    """Distances to the four sides as the mean of a distribution over bins, in strides.

    Boxes end at the edge of the input, as in the reference implementation.

    Args:
        outputs: for each stride and its n cells, scores [1, n, classes] in [0, 1] and bins
            [1, n, 4 * bins] (left, top, right, bottom). Told apart by their shapes; names, where
            that is not enough: `scores_8`, `bins_8` and so on.
        detector: its strides, size and number of categories say the shapes.
    """
    return _decoded(outputs, detector, offset=0.5)


def decode_plus(outputs: Mapping[str, NDArray[Any]], detector: Detector) -> Found:
    """NanoDet-Plus (2021): the same, measured from the corners of cells."""
    return _decoded(outputs, detector, offset=0.0)


def _decoded(outputs: Mapping[str, NDArray[Any]], detector: Detector, offset: float) -> Found:
    classes = len(detector.category_ids)
    boxes, scores = [], []
    for stride in detector.strides:
        centre = grid(detector.size, stride, offset)
        n = len(centre)
        said = output(outputs, f"scores_{stride}", _shaped(n, {classes}))
        bins = output(outputs, f"bins_{stride}", _shaped(n, {4 * b for b in _BINS} - {classes}))
        sides = _expected(bins[0].reshape(len(centre), 4, -1)) * stride
        corners = np.concatenate([centre - sides[:, :2], centre + sides[:, 2:]], axis=1)
        corners = np.clip(corners, 0, [detector.size[1], detector.size[0]] * 2)
        boxes.append(np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1))
        scores.append(said[0])
    return without_duplicates(
        best(np.concatenate(boxes), np.concatenate(scores), _MIN_SCORE), _OVERLAP
    )


def _shaped(cells: int, last: set[int]) -> Callable[[tuple[int, ...]], bool]:
    return lambda shape: shape[:2] == (1, cells) and shape[-1] in last


def _expected(bins: NDArray[Any]) -> NDArray[Any]:
    """Mean of the softmax over the last axis, in bins."""
    odds = np.exp(bins - bins.max(axis=-1, keepdims=True))
    return np.asarray(odds @ np.arange(bins.shape[-1], dtype=bins.dtype) / odds.sum(axis=-1))
