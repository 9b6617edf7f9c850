"""Weights that a seed decides, such that no activation dies or explodes on the way."""

from __future__ import annotations

from typing import Any

import numpy as np

_PIXELS = 3 << 18  # of all pictures: more of small ones, whose last maps are of one place
_ANSWERS = 0.5  # share of the usual deviation in the layers that answer: scores stay low, as theirs
_CELL = 16  # pixels: the pictures have areas as photographs do, and noise on them


def fill(network: Any, normalize: Any, seed: int) -> None:
    """Fill a Keras model in place.

    Kernels are normal with the variance 2 / fan-in (He et al., arXiv 1502.01852), biases stay as
    the network's authors start them. Normalizations then take mean and variance over some pictures
    of noise, as trained ones have those of photographs; without them deep networks answer the same
    to everything, and int8 ranges would be those of nothing.

    Args:
        network: takes [pictures, height, width, 3]; names of layers that answer start with
            "answer".
        normalize: of pixel values 0 to 255 to what the network takes.
        seed: of the weights and of the noise.
    """
    import keras

    rng = np.random.default_rng(seed)
    for layer in network._flatten_layers(include_self=False):  # noqa: SLF001 - nested ones too
        for weight in getattr(layer, "_trainable_variables", ()):
            if len(weight.shape) > 1:
                fan_in = _fan_in(layer, tuple(weight.shape))
                share = _ANSWERS if layer.name.startswith("answer") else 1.0
                values = rng.standard_normal(tuple(weight.shape), np.float32)
                weight.assign(values * np.float32(share * (2 / fan_in) ** 0.5))
    layers = [
        layer
        for layer in network._flatten_layers(include_self=False)  # noqa: SLF001
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0  # the moving statistics become those of this batch
    network(normalize(_pictures(rng, network.input_shape[1:3])), training=True)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum


def _fan_in(layer: Any, shape: tuple[int, ...]) -> int:
    """How many products one output of a kernel sums up."""
    import keras

    height, width, third, last = shape
    if last == 1:  # a depthwise one, or the first half of a separable one
        return height * width
    if isinstance(layer, keras.layers.Conv2DTranspose):  # [height, width, out, in]
        down, right = layer.strides
        return int(height * width * last / (down * right))
    return height * width * third


def _pictures(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray[Any, Any]:
    """Coloured areas with noise, 0 to 255, [pictures, height, width, 3] float32."""
    number = max(2, _PIXELS // (size[0] * size[1]))
    cells = [-(-side // _CELL) for side in size]
    areas = rng.uniform(0, 255, (number, *cells, 3)).repeat(_CELL, 1).repeat(_CELL, 2)
    noise = rng.normal(0, 16, (number, *size, 3))
    cut = areas[:, : size[0], : size[1]]
    return np.clip(cut + noise, 0, 255).astype(np.float32)
