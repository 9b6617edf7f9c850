"""ONNX's poolings, with channels last."""

from __future__ import annotations

import math
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
    from quantbench.backends.litert.importers.onnx_ops.values import Node, Op
    from quantbench.backends.litert.importers.onnx_ops.windows import Windows


def _seen(node: Node, x: Any) -> Windows:
    seen = windows(node, tuple(x.shape[1:3]), node.attributes["kernel_shape"])
    if max(seen.dilations) > 1:
        raise refused(node, f"dilations {seen.dilations}")
    for kernel, pads in zip(seen.kernel, seen.pads, strict=True):
        if max(pads) >= kernel:
            raise refused(node, f"padding of {pads} around a window of {kernel}")
    return seen


def _max(node: Node) -> Value:
    import tensorflow as tf

    if any(node.outputs[1:]):
        raise refused(node, "a second output, where the largest values lie")
    x, positive = pictures(node), node.input(0).positive
    seen = _seen(node, x)
    padding = "SAME" if seen.same else "VALID"
    if padding == "VALID" and not seen.none:
        x = tf.pad(x, seen.paddings) if positive else _bordered(x, seen)
    return as_pictures(tf.nn.max_pool2d(x, seen.kernel, seen.strides, padding), positive=positive)


def _bordered(x: Any, seen: Windows) -> Any:
    """Padded with the border's own values, which each window that sees the padding sees too.

    Minus infinity, which ONNX means, has no integer and leaves nothing of an int8 scale.
    """
    import tensorflow as tf

    left = [list(pair) for pair in seen.pads]
    while any(map(sum, left)):
        step = [[min(n, 1) for n in pair] for pair in left]
        x = tf.pad(x, [[0, 0], *step, [0, 0]], "SYMMETRIC")
        left = [
            [n - m for n, m in zip(*pairs, strict=True)] for pairs in zip(left, step, strict=True)
        ]
    return x


def _average(node: Node) -> Value:
    """Padding is not counted unless the node says so; what `ceil_mode` adds never is."""
    import tensorflow as tf

    x, positive = pictures(node), node.input(0).positive
    seen = _seen(node, x)
    counted = bool(node.attributes.get("count_include_pad", 0))
    if seen.same and (not counted or seen.none):
        y = tf.nn.avg_pool2d(x, seen.kernel, seen.strides, "SAME")
        return as_pictures(y, positive=positive)
    y = tf.nn.avg_pool2d(tf.pad(x, seen.paddings), seen.kernel, seen.strides, "VALID")
    shares = math.prod(seen.kernel) / seen.counts(padding=counted)
    if not np.all(shares == 1):
        y *= shares[None, :, :, None]
    return as_pictures(y, positive=positive)


def _whole(name: str) -> Op:
    """One number a channel."""

    def op(node: Node) -> Value:
        import tensorflow as tf

        reduce = getattr(tf, name)
        return as_pictures(
            reduce(pictures(node), axis=[1, 2], keepdims=True), positive=node.input(0).positive
        )

    return op


OPS: dict[str, Op] = {
    "AveragePool": _average,
    "GlobalAveragePool": _whole("reduce_mean"),
    "GlobalMaxPool": _whole("reduce_max"),
    "MaxPool": _max,
}
