"""Anchors' codes to detections, as the published SSD files do it within the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MOST = 100  # detections, of a class and altogether
_LEAST_SCORE = 1e-8
_SCALES = (10.0, 10.0, 5.0, 5.0)  # of y, x, height and width in the codes


def detections(
    codes: Any, logits: Any, anchors: NDArray[np.float32], overlap: float, *, background: bool
) -> dict[str, Any]:
    """The published outputs of an SSD: each class by itself without overlaps, then the best.

    Args:
        codes: [1, anchors, 4], shifts of y and x and logarithms of height and width.
        logits: [1, anchors, classes], the first of which is no object where there is a background.
        anchors: [anchors, 4] as shares of the input: centre y, centre x, height, width.
        overlap: intersection over union from which the lower score goes.
        background: whether the first class is no object.
    """
    import tensorflow as tf

    boxes = _decoded(codes[0], anchors)
    scores = tf.sigmoid(logits)
    first = int(background)
    found = [
        _of_class(boxes, scores[0, :, number], number - first, overlap)
        for number in range(first, logits.shape[-1])
    ]
    index, score, label = (tf.concat(part, 0) for part in zip(*found, strict=True))
    best, order = tf.math.top_k(score, _MOST)
    index = tf.gather(index, order)
    inside = tf.clip_by_value(tf.gather(boxes, index), 0.0, 1.0)
    kept = tf.cast(best > 0.0, tf.float32)
    return {
        "detection_anchor_indices": tf.cast(index, tf.float32)[None],
        "detection_boxes": (inside * kept[:, None])[None],
        "detection_classes": (tf.gather(label, order) + 1.0)[None],
        "detection_multiclass_scores": tf.gather(scores, index, axis=1),
        "detection_scores": (best * kept)[None],
        "num_detections": tf.reduce_sum(kept)[None],
        "raw_detection_boxes": boxes[None],
        "raw_detection_scores": scores,
    }


def _decoded(codes: Any, anchors: NDArray[np.float32]) -> Any:
    """[anchors, 4], top, left, bottom, right as shares (Ren et al., arXiv 1506.01497, eq. 2)."""
    import tensorflow as tf

    shifts = codes / tf.constant(_SCALES)
    centre = shifts[:, :2] * anchors[:, 2:] + anchors[:, :2]
    half = tf.exp(shifts[:, 2:]) * anchors[:, 2:] / 2.0
    return tf.concat([centre - half, centre + half], axis=1)


def _of_class(boxes: Any, scores: Any, label: int, overlap: float) -> tuple[Any, Any, Any]:
    """Indices, scores and label of the class' best, filled up with scores of -1."""
    import tensorflow as tf

    most = min(_MOST, int(boxes.shape[0]))
    index, kept = tf.image.non_max_suppression_with_scores(
        boxes, scores, most, overlap, _LEAST_SCORE
    )
    missing = most - tf.shape(index)[0]
    index = tf.concat([index, tf.zeros([missing], index.dtype)], 0)
    kept = tf.concat([kept, -tf.ones([missing])], 0)
    return index, kept, tf.fill([most], 1.0 * label)
