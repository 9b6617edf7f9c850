"""EfficientDet-D0 (Tan et al., arXiv 1911.09070) on EfficientNet-B0 (arXiv 1905.11946)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.backends.litert.importers.architectures.detections import Detections
from quantbench.backends.litert.importers.architectures.suppression import detections

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CLASSES = 90
_OVERLAP = 0.5
_LEVELS = range(3, 8)  # level n has 1 / 2**n of the input's resolution
_ENDS = ("block3b_add", "block5c_add", "block7a_project_bn")  # of levels 3 to 5
_CHANNELS, _PASSES, _HEAD_LAYERS = 64, 3, 3
_SCALES, _RATIOS = 3, (1.0, 2.0, 0.5)
_ANCHOR = 4.0  # side of the smallest, in cells
_FIRST_BIAS = -4.6  # of the classes, log(.01 / .99)
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def published(size: tuple[int, int]) -> Detections:
    """With 90 classes, three passes of its pyramid and nine anchors a cell."""
    anchors = anchors_of(size)

    def finish(said: Any) -> dict[str, Any]:
        codes, logits = said
        return detections(codes, logits, anchors, _OVERLAP, background=False)

    return Detections(_network(size), _normalized, finish, size, True)


def _normalized(pixels: Any) -> Any:
    """Keras' backbone divides by 255 itself."""
    mean, std = (np.array(values, np.float32) for values in (_MEAN, _STD))
    return (pixels - 255.0 * mean) / std


def _network(size: tuple[int, int]) -> Any:
    """Codes [.., anchors, 4] and logits [.., anchors, 90]."""
    import keras
    from keras import layers

    picture = keras.Input((*size, 3))
    backbone = keras.applications.EfficientNetB0(
        include_top=False, weights=None, input_tensor=picture
    )
    levels = dict(zip(_LEVELS, (backbone.get_layer(name).output for name in _ENDS), strict=False))
    for level in list(_LEVELS)[len(_ENDS) :]:
        levels[level] = _smaller(_fitting(levels[level - 1]))
    for _ in range(_PASSES):
        levels = _pass(levels)
    places = _SCALES * len(_RATIOS)
    codes = _head("codes", levels, places * 4, 0.0)
    logits = _head("logits", levels, places * _CLASSES, _FIRST_BIAS)
    said = [
        layers.Concatenate(axis=1)([layers.Reshape((-1, last))(x) for x in maps])
        for maps, last in ((codes, 4), (logits, _CLASSES))
    ]
    return keras.Model(picture, said)


def _fitting(x: Any) -> Any:
    """With the pyramid's channels."""
    from keras import layers

    if x.shape[-1] == _CHANNELS:
        return x
    return layers.BatchNormalization(epsilon=1e-3)(layers.Conv2D(_CHANNELS, 1)(x))


def _smaller(x: Any) -> Any:
    from keras import layers

    return layers.MaxPooling2D(3, strides=2, padding="same")(x)


def _pass(levels: dict[int, Any]) -> dict[int, Any]:
    """Down from the smallest map to the largest, and up again (figure 3 of the paper)."""
    from keras import layers

    first, last = _LEVELS[0], _LEVELS[-1]
    down = {last: levels[last]}
    for level in reversed(_LEVELS[:-1]):
        larger = layers.UpSampling2D(2)(down[level + 1])
        down[level] = _joined([_fitting(levels[level]), larger])
    up = {first: down[first]}
    for level in _LEVELS[1:]:
        inputs = [_fitting(levels[level]), _smaller(up[level - 1])]
        if level < last:
            inputs.insert(1, down[level])
        up[level] = _joined(inputs)
    return up


def _joined(inputs: list[Any]) -> Any:
    """Their weighted sum, then a separable convolution."""
    from keras import layers

    from quantbench.backends.litert.importers.architectures.fusion import FastFusion

    x = layers.Activation("swish")(FastFusion()(inputs))
    x = layers.SeparableConv2D(_CHANNELS, 3, padding="same")(x)
    return layers.BatchNormalization(epsilon=1e-3)(x)


def _head(name: str, levels: dict[int, Any], outputs: int, bias: float) -> list[Any]:
    """Convolutions that all levels share; each level has normalizations of its own."""
    import keras
    from keras import layers

    shared = [layers.SeparableConv2D(_CHANNELS, 3, padding="same") for _ in range(_HEAD_LAYERS)]
    start = keras.initializers.Constant(bias)
    last = layers.SeparableConv2D(
        outputs, 3, padding="same", bias_initializer=start, name=f"answer_{name}"
    )
    said = []
    for x in levels.values():
        for convolution in shared:
            normalized = layers.BatchNormalization(epsilon=1e-3)(convolution(x))
            x = layers.Activation("swish")(normalized)  # noqa: PLW2901 - the level's own way
        said.append(last(x))
    return said


def anchors_of(size: tuple[int, int]) -> NDArray[np.float32]:
    """[anchors, 4], centre y, centre x, height, width as shares: by levels, rows and columns."""
    found = []
    for level in _LEVELS:
        stride = 2**level
        rows, columns = (-(-side // stride) for side in size)
        sides = np.array(
            [
                (side / ratio**0.5, side * ratio**0.5)
                for ratio in _RATIOS
                for side in (_ANCHOR * stride * 2 ** (k / _SCALES) for k in range(_SCALES))
            ]
        )
        y, x = np.meshgrid(
            (np.arange(rows) + 0.5) * stride, (np.arange(columns) + 0.5) * stride, indexing="ij"
        )
        centres = np.stack([y, x], -1).reshape(-1, 1, 2)
        shape = (len(centres), len(sides), 2)
        both = [np.broadcast_to(centres, shape), np.broadcast_to(sides, shape)]
        found.append(np.concatenate(both, -1).reshape(-1, 4) / np.array([*size, *size]))
    anchors: NDArray[np.float32] = np.concatenate(found).astype(np.float32)
    return anchors
