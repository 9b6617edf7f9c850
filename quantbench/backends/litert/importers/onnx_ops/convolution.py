"""ONNX's convolutions, with channels last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.backends.litert.importers.onnx_ops.values import (
    Value,
    as_pictures,
    pictures,
    refused,
)
from quantbench.backends.litert.importers.onnx_ops.windows import windows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from quantbench.backends.litert.importers.onnx_ops.values import Node, Op
    from quantbench.backends.litert.importers.onnx_ops.windows import Windows


def _convolution(node: Node) -> Value:
    import tensorflow as tf

    x, weights = pictures(node), node.constant(1)  # weights [out, in / groups, height, width]
    groups, channels = node.attributes.get("group", 1), int(x.shape[-1])
    seen = windows(node, tuple(x.shape[1:3]), weights.shape[2:])
    padding = "SAME" if seen.same else "VALID"
    if padding == "VALID" and not seen.none:
        x = tf.pad(x, seen.paddings)
    if groups == 1:
        y = _conv2d(x, weights, seen, padding)
    elif groups == channels and seen.strides[0] == seen.strides[1]:
        y = _by_channel(node, x, weights, seen, padding)
    else:
        parts = zip(tf.split(x, groups, 3), np.split(weights, groups), strict=True)
        y = tf.concat([_conv2d(part, own, seen, padding) for part, own in parts], 3)
    return as_pictures(_biased(node, y))


def _conv2d(x: Any, weights: NDArray[Any], seen: Windows, padding: str) -> Any:
    import tensorflow as tf

    kernel = weights.transpose(2, 3, 1, 0)
    return tf.nn.conv2d(x, kernel, seen.strides, padding, dilations=seen.dilations)


def _by_channel(node: Node, x: Any, weights: NDArray[Any], seen: Windows, padding: str) -> Any:
    """A kernel of its own for every channel."""
    import tensorflow as tf

    if max(seen.strides) > 1 and max(seen.dilations) > 1:
        raise refused(node, "strides and dilations of a convolution by channel")
    channels = int(x.shape[-1])
    kernel = weights.reshape(channels, -1, *weights.shape[2:]).transpose(2, 3, 0, 1)
    return tf.nn.depthwise_conv2d(
        x, kernel, [1, *seen.strides, 1], padding, dilations=seen.dilations
    )


def _biased(node: Node, y: Any) -> Any:
    import tensorflow as tf

    return y if node.optional(2) is None else tf.nn.bias_add(y, node.constant(2))


def _transposed(node: Node) -> Value:
    """The gradient of a convolution: of stride 2, a learnt enlargement by 2."""
    import tensorflow as tf

    x, weights = pictures(node), node.constant(1)  # weights [in, out / groups, height, width]
    given = node.attributes
    if given.get("output_shape") or given.get("auto_pad", "NOTSET") != "NOTSET":
        raise refused(node, "output_shape or auto_pad")
    seen = windows(node, tuple(x.shape[1:3]), weights.shape[2:])
    if max(seen.dilations) > 1:
        raise refused(node, f"dilations {seen.dilations}")
    added = given.get("output_padding", (0, 0))
    if any(more >= stride for more, stride in zip(added, seen.strides, strict=True)):
        raise refused(node, f"output_padding {tuple(added)} with strides {seen.strides}")
    groups = given.get("group", 1)
    whole = [
        (length - 1) * stride + size + more
        for length, stride, size, more in zip(
            seen.lengths, seen.strides, seen.kernel, added, strict=True
        )
    ]
    shape = [int(x.shape[0]), *whole, weights.shape[1]]
    parts = zip(tf.split(x, groups, 3), np.split(weights, groups), strict=True)
    made = [
        tf.nn.conv2d_transpose(part, own.transpose(2, 3, 1, 0), shape, seen.strides, "VALID")
        for part, own in parts
    ]
    y = made[0] if groups == 1 else tf.concat(made, 3)
    (top, bottom), (left, right) = seen.pads
    y = y[:, top : whole[0] - bottom, left : whole[1] - right, :]
    return as_pictures(_biased(node, y))


OPS: dict[str, Op] = {"Conv": _convolution, "ConvTranspose": _transposed}
