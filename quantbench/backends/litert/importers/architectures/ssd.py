"""SSD on MobileNetV2 (Liu et al., arXiv 1512.02325; Sandler et al., arXiv 1801.04381)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.backends.litert.importers.architectures.detections import Detections
from quantbench.backends.litert.importers.architectures.suppression import detections

if TYPE_CHECKING:
    from numpy.typing import NDArray

_OVERLAP = 0.6
_SMALLEST, _LARGEST = 0.2, 0.95  # anchors, as shares of the picture
_RATIOS = (1.0, 2.0, 0.5, 3.0, 0.3333)
_FIRST_BIAS = -4.6  # of the classes, log(.01 / .99)


@dataclass(frozen=True)
class _Shape:
    """Width of the backbone, classes, and channels of the layers behind it."""

    width: float
    classes: int
    extra: tuple[int, ...]


def published(size: tuple[int, int]) -> Detections:
    """With 90 classes and a background, feature maps of strides 16 to 300."""
    return _detector(_Shape(1.0, 90, (512, 256, 256, 128)), size)


def tiny(size: tuple[int, int]) -> Detections:
    """A third of the width, three classes, and two maps behind the backbone."""
    return _detector(_Shape(0.35, 3, (32, 32)), size)


def _detector(shape: _Shape, size: tuple[int, int]) -> Detections:
    network, maps = _network(shape, size)
    anchors = anchors_of(maps)

    def finish(said: Any) -> dict[str, Any]:
        codes, logits = said
        return detections(codes, logits, anchors, _OVERLAP, background=True)

    return Detections(network, lambda pixels: pixels * (2.0 / 255.0) - 1.0, finish, size, False)


def _network(shape: _Shape, size: tuple[int, int]) -> tuple[Any, list[tuple[int, int]]]:
    """Codes [.., anchors, 4] and logits [.., anchors, classes + 1]; and the sizes of its maps."""
    import keras
    from keras import layers

    picture = keras.Input((*size, 3))
    backbone = keras.applications.MobileNetV2(
        include_top=False, weights=None, alpha=shape.width, input_tensor=picture
    )
    features = [backbone.get_layer(name).output for name in ("block_13_expand_relu", "out_relu")]
    for channels in shape.extra:
        x = _normalized(layers.Conv2D(channels // 2, 1, use_bias=False)(features[-1]))
        x = layers.Conv2D(channels, 3, strides=2, padding="same", use_bias=False)(x)
        features.append(_normalized(x))
    bias = keras.initializers.Constant(_FIRST_BIAS)
    codes, logits = [], []
    for number, x in enumerate(features):
        places = 3 if number == 0 else len(_RATIOS) + 1
        codes.append(
            layers.Reshape((-1, 4))(layers.Conv2D(places * 4, 1, name=f"answer_codes_{number}")(x))
        )
        classes = shape.classes + 1
        name = f"answer_logits_{number}"
        said = layers.Conv2D(places * classes, 1, bias_initializer=bias, name=name)(x)
        logits.append(layers.Reshape((-1, classes))(said))
    network = keras.Model(
        picture, [layers.Concatenate(axis=1)(codes), layers.Concatenate(axis=1)(logits)]
    )
    return network, [tuple(x.shape[1:3]) for x in features]


def _normalized(x: Any) -> Any:
    from keras import layers

    return layers.ReLU(6.0)(layers.BatchNormalization(epsilon=1e-3)(x))


def anchors_of(maps: list[tuple[int, int]]) -> NDArray[np.float32]:
    """[anchors, 4], centre y, centre x, height, width: by maps, then rows, columns and shapes.

    The first map has three shapes; the others have the five ratios, and a square between this
    map's scale and the next one's (Liu et al., section 2.2).
    """
    scales = [*np.linspace(_SMALLEST, _LARGEST, len(maps)), 1.0]
    found = []
    for number, (rows, columns) in enumerate(maps):
        sides = [(scales[number], ratio) for ratio in _RATIOS]
        sides.append((float(np.sqrt(scales[number] * scales[number + 1])), 1.0))
        if number == 0:
            sides = [(0.1, 1.0), (scales[0], 2.0), (scales[0], 0.5)]
        sizes = np.array([(scale / ratio**0.5, scale * ratio**0.5) for scale, ratio in sides])
        y, x = np.meshgrid(
            (np.arange(rows) + 0.5) / rows, (np.arange(columns) + 0.5) / columns, indexing="ij"
        )
        centres = np.stack([y, x], -1).reshape(-1, 1, 2)
        shape = (len(centres), len(sizes), 2)
        both = [np.broadcast_to(centres, shape), np.broadcast_to(sizes, shape)]
        found.append(np.concatenate(both, -1).reshape(-1, 4))
    anchors: NDArray[np.float32] = np.concatenate(found).astype(np.float32)
    return anchors
