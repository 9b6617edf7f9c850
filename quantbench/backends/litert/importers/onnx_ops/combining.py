"""ONNX's ops that combine many numbers: products, sums, normalizations, orders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.backends.litert.importers.onnx_ops.arranging import without
from quantbench.backends.litert.importers.onnx_ops.values import (
    Value,
    aligned,
    plainly,
    refused,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from quantbench.backends.litert.importers.onnx_ops.values import Node, Op


def _matmul(node: Node) -> Value:
    import tensorflow as tf

    one, other = node.input(0), node.input(1)
    if min(one.rank, other.rank) < 2:  # noqa: PLR2004 - matrices
        raise refused(node, "a product with a vector")
    return plainly(tf.matmul(one.plain(), other.plain()))


def _gemm(node: Node) -> Value:
    import tensorflow as tf

    given = node.attributes
    one, other = node.input(0).plain(), node.input(1).plain()
    y = tf.matmul(
        one,
        other,
        transpose_a=bool(given.get("transA", 0)),
        transpose_b=bool(given.get("transB", 0)),
    )
    if (alpha := given.get("alpha", 1.0)) != 1:
        y *= np.float32(alpha)
    if node.optional(2) is not None:
        bias = node.input(2).plain() * np.float32(given.get("beta", 1.0))
        y += bias
    return plainly(y)


def _reduced(compute: Callable[[Any, Any, Any, bool], Any]) -> Op:
    """A reduction; `compute` takes TensorFlow, the tensor, its axes, and whether they are kept."""

    def op(node: Node) -> Value:
        import tensorflow as tf

        value, axes = node.input(0), node.numbers(1, "axes")
        if not axes:
            if node.attributes.get("noop_with_empty_axes", 0):
                return value
            axes = list(range(value.rank))
        gone = tuple(axis % value.rank for axis in axes)
        kept = bool(node.attributes.get("keepdims", 1))
        held = compute(tf, value.held, [value.axis(axis) for axis in gone], kept)
        return Value(held, value.order if kept else without(value.order, gone), value.positive)

    return op


def _length(tf: Any, x: Any, axes: Any, keep: bool) -> Any:  # noqa: FBT001 - as the others
    return tf.sqrt(tf.reduce_sum(tf.square(x), axes, keepdims=keep))


def _along(name: str) -> Op:
    """A softmax or its logarithm."""

    def op(node: Node) -> Value:
        import tensorflow as tf

        value = node.input(0)
        axis = value.axis(node.attributes.get("axis", -1))
        last = value.rank - 1
        if axis == last:
            return Value(getattr(tf.nn, name)(value.held), value.order, positive=name == "softmax")
        # LiteRT's kernel takes the last axis alone.
        meant = value.order[axis]
        order = (*(each for each in value.order if each != meant), meant)
        return Value(getattr(tf.nn, name)(value.held_as(order)), order, positive=name == "softmax")

    return op


def _batch_normalized(node: Node) -> Value:
    if node.attributes.get("training_mode", 0) or any(node.outputs[1:]):
        raise refused(node, "training_mode")
    scale, offset, mean, variance = (node.constant(i).astype(np.float64) for i in range(1, 5))
    factor = scale / np.sqrt(variance + node.attributes.get("epsilon", 1e-5))
    return _scaled(node.input(0), factor, offset - mean * factor)


def _scaled(value: Value, factor: Any, offset: Any) -> Value:
    """By channel, which is axis 1."""
    import tensorflow as tf

    shape = [1] * value.rank
    shape[1] = -1
    for numbers, name in ((factor, "multiply"), (offset, "add")):
        one = plainly(np.asarray(numbers, dtype=np.float32).reshape(shape))
        (x, by), order = aligned([value, one])
        value = Value(getattr(tf, name)(x, by), order)
    return value


def _instance_normalized(node: Node) -> Value:
    value = node.input(0)
    axes = [value.axis(axis) for axis in range(2, value.rank)]
    normalized = _normalized(value.held, axes, node.attributes.get("epsilon", 1e-5))
    return _scaled(Value(normalized, value.order), node.constant(1), node.constant(2))


def _layer_normalized(node: Node) -> Value:
    import tensorflow as tf

    if any(node.outputs[1:]):
        raise refused(node, "a second output")
    value = node.input(0)
    first = node.attributes.get("axis", -1) % value.rank
    axes = [value.axis(axis) for axis in range(first, value.rank)]
    found = Value(_normalized(value.held, axes, node.attributes.get("epsilon", 1e-5)), value.order)
    for i, name in ((1, "multiply"), (2, "add")):
        if node.optional(i) is not None:
            (x, by), order = aligned([found, node.input(i)])
            found = Value(getattr(tf, name)(x, by), order)
    return found


def _normalized(x: Any, axes: list[int], epsilon: float) -> Any:
    import tensorflow as tf

    x -= tf.reduce_mean(x, axes, keepdims=True)
    variance = tf.reduce_mean(tf.square(x), axes, keepdims=True)
    return x * tf.math.rsqrt(variance + np.float32(epsilon))


def _extreme(name: str) -> Op:
    """Where the largest or smallest number of an axis lies."""

    def op(node: Node) -> Value:
        import tensorflow as tf

        if node.attributes.get("select_last_index", 0):
            raise refused(node, "select_last_index")
        value = node.input(0)
        meant = node.attributes.get("axis", 0) % value.rank
        held = getattr(tf, name)(value.held, axis=value.axis(meant), output_type=tf.int64)
        if node.attributes.get("keepdims", 1):
            return Value(tf.expand_dims(held, value.axis(meant)), value.order)
        return Value(held, without(value.order, (meant,)))

    return op


def _top(node: Node) -> list[Value]:
    import tensorflow as tf

    value, k = node.input(0), int(node.constant(1).item())
    meant = node.attributes.get("axis", -1) % value.rank
    if not node.attributes.get("largest", 1) or meant != value.rank - 1:
        raise refused(node, "the smallest, or another axis than the last")
    best, places = tf.math.top_k(value.plain(), k)
    return [plainly(best, positive=value.positive), plainly(tf.cast(places, tf.int64))]


OPS: dict[str, Op] = {
    "ArgMax": _extreme("argmax"),
    "ArgMin": _extreme("argmin"),
    "BatchNormalization": _batch_normalized,
    "Gemm": _gemm,
    "InstanceNormalization": _instance_normalized,
    "LayerNormalization": _layer_normalized,
    "LogSoftmax": _along("log_softmax"),
    "MatMul": _matmul,
    "ReduceL2": _reduced(_length),
    "ReduceMax": _reduced(lambda tf, x, axes, keep: tf.reduce_max(x, axes, keepdims=keep)),
    "ReduceMean": _reduced(lambda tf, x, axes, keep: tf.reduce_mean(x, axes, keepdims=keep)),
    "ReduceMin": _reduced(lambda tf, x, axes, keep: tf.reduce_min(x, axes, keepdims=keep)),
    "ReduceSum": _reduced(lambda tf, x, axes, keep: tf.reduce_sum(x, axes, keepdims=keep)),
    "Softmax": _along("softmax"),
    "TopK": _top,
}
