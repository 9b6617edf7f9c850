"""CenterNet on ResNet50v2 (Zhou et al., arXiv 1904.07850; He et al., arXiv 1603.05027)."""

from __future__ import annotations

from typing import Any

from quantbench.backends.litert.importers.architectures.detections import Detections

_CLASSES = 90
_MOST = 100  # detections
_SAME = 1e-6  # a peak is as high as the highest around it
_STRIDE = 4
_FIRST_BIAS = -2.19  # of the centres, log(.1 / .9): most places are none


def published(size: tuple[int, int]) -> Detections:
    """With 90 classes; its answers are the 100 highest peaks, nothing is suppressed."""
    return Detections(_network(size), _normalized, lambda said: _peaks(said, size), size, True)


def _normalized(pixels: Any) -> Any:
    return pixels / 127.5 - 1.0


def _network(size: tuple[int, int]) -> Any:
    """Centres [.., 90], sizes and offsets [.., 2] (y, x) at a fourth of the input's resolution."""
    import keras
    from keras import layers

    picture = keras.Input((*size, 3))
    backbone = keras.applications.ResNet50V2(include_top=False, weights=None, input_tensor=picture)
    x = backbone.get_layer("conv5_block3_out").output
    for filters in (256, 128, 64):  # plain convolutions where the paper's are deformable
        x = layers.Conv2D(filters, 3, padding="same")(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.Conv2DTranspose(filters, 3, strides=2, padding="same")(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    heads = [
        _head("centres", x, _CLASSES, _FIRST_BIAS),
        _head("sizes", x, 2),
        _head("offsets", x, 2),
    ]
    return keras.Model(picture, heads)


def _head(name: str, features: Any, outputs: int, bias: float = 0.0) -> Any:
    import keras
    from keras import layers

    x = layers.Conv2D(256, 3, padding="same", activation="relu")(features)
    start = keras.initializers.Constant(bias)
    return layers.Conv2D(outputs, 1, bias_initializer=start, name=f"answer_{name}")(x)


def _peaks(said: Any, size: tuple[int, int]) -> dict[str, Any]:
    import tensorflow as tf

    centres, sizes, offsets = said
    odds = tf.sigmoid(centres)
    highest = tf.nn.max_pool2d(odds, 3, 1, "SAME")
    peaks = tf.where(tf.abs(odds - highest) < _SAME, odds, 0.0)
    _, height, width, classes = peaks.shape
    scores, flat = tf.math.top_k(tf.reshape(peaks, [1, height * width * classes]), _MOST)
    cell = flat // classes
    place = tf.cast(tf.stack([cell // width, cell % width], -1), tf.float32)
    side = tf.maximum(tf.gather(tf.reshape(sizes, [height * width, 2]), cell), 0.0)
    centre = place + tf.gather(tf.reshape(offsets, [height * width, 2]), cell)
    boxes = tf.concat([centre - side / 2.0, centre + side / 2.0], -1)
    share = _STRIDE / tf.constant([*size, *size], tf.float32)
    return {
        "detection_boxes": tf.clip_by_value(boxes * share, 0.0, 1.0),
        "detection_classes": tf.cast(flat % classes, tf.float32) + 1.0,
        "detection_scores": scores,
        "num_detections": tf.reduce_sum(tf.cast(scores > 0.0, tf.float32), axis=1),
    }
