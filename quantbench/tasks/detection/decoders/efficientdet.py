"""EfficientDet's raw heads (Tan et al., "EfficientDet", 2020), Lite variants included.

Models that decode themselves say four outputs instead: `ssd.decode_tf2` and `decode_tf2_pixels`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.tasks.detection.decoders.found import Found, best, output, without_duplicates

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from quantbench.tasks.detection.detector import Detector

_OCTAVES = 3
_SHAPES = ((1.0, 1.0), (1.4, 0.7), (0.7, 1.4))  # width and height, in sizes
_MIN_SCORE = 0.01
_OVERLAP = 0.5  # greedy suppression, as in the exported op; the training code's default is soft


def decode(outputs: Mapping[str, NDArray[Any]], detector: Detector) -> Found:
    """Box codes relative to anchors: y, x in anchor sizes, log of height and width.

    Args:
        outputs: `class_logits` [1, anchors, classes] and `box_codes` [1, anchors, 4] over all
            levels, row by row, octave by octave, shape by shape.
        detector: its size, strides (8 to 128) and anchor scale make the anchors.
    """
    anchor = anchors(detector.size, detector.strides, detector.anchor_scale)
    classes = len(detector.category_ids)
    logits = output(outputs, "class_logits", lambda s: s == (1, len(anchor), classes))[0]
    codes = output(outputs, "box_codes", lambda s: s == (1, len(anchor), 4))[0]
    y, x, height, width = anchor.T
    tall, wide = np.exp(codes[:, 2]) * height, np.exp(codes[:, 3]) * width
    left = codes[:, 1] * width + x - wide / 2
    top = codes[:, 0] * height + y - tall / 2
    scores = 1 / (1 + np.exp(-logits))
    boxes = np.stack([left, top, wide, tall], axis=1)
    return without_duplicates(best(boxes, scores, _MIN_SCORE), _OVERLAP)


def anchors(size: tuple[int, int], strides: tuple[int, ...], scale: float) -> NDArray[np.float32]:
    """Centre y, centre x, height and width of every anchor in pixels, float32 [n, 4].

    Args:
        size: (height, width) of the input.
        strides: nominal pixels a cell; the real ones fill the input with whole cells.
        scale: size of the smallest square anchor in strides.
    """
    parts = []
    for stride in strides:
        cells = [-(-side // stride) for side in size]
        steps = [side / count for side, count in zip(size, cells, strict=True)]
        y, x = np.meshgrid(
            *((np.arange(count) + 0.5) * step for count, step in zip(cells, steps, strict=True)),
            indexing="ij",
        )
        extents = [
            (
                scale * steps[0] * 2 ** (octave / _OCTAVES) * tall,
                scale * steps[1] * 2 ** (octave / _OCTAVES) * wide,
            )
            for octave in range(_OCTAVES)
            for wide, tall in _SHAPES
        ]
        centres = np.stack([y.ravel(), x.ravel()], axis=1)[:, None]
        tiled = np.broadcast_to(np.array(extents)[None], (centres.shape[0], len(extents), 2))
        repeated = np.broadcast_to(centres, tiled.shape)
        parts.append(np.concatenate([repeated, tiled], axis=2).reshape(-1, 4))
    return np.asarray(np.concatenate(parts), dtype=np.float32)
