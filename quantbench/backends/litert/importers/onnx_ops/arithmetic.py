"""ONNX's ops on each number by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.backends.litert.importers.onnx_ops.values import Value, aligned, refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from quantbench.backends.litert.importers.onnx_ops.values import Node, Op


def _each(compute: Callable[[Any, Any], Any], *, positive: bool = False) -> Op:
    """An op of one operand; `compute` takes TensorFlow and the tensor."""

    def op(node: Node) -> Value:
        import tensorflow as tf

        value = node.input(0)
        return Value(compute(tf, value.held), value.order, positive)

    return op


def _both(compute: Callable[[Any, Any, Any], Any]) -> Op:
    """An op of two operands that are broadcast."""

    def op(node: Node) -> Value:
        import tensorflow as tf

        (one, other), order = aligned([node.input(0), node.input(1)])
        return Value(compute(tf, one, other), order)

    return op


def _all(compute: Callable[[Any, Any, Any], Any]) -> Op:
    """An op of any number of operands, folded from the left."""

    def op(node: Node) -> Value:
        import tensorflow as tf

        found = node.input(0)
        for i in range(1, len(node.inputs)):
            (one, other), order = aligned([found, node.input(i)])
            found = Value(compute(tf, one, other), order)
        return found

    return op


def _divided(tf: Any, one: Any, other: Any) -> Any:
    """Of whole numbers ONNX drops the fraction."""
    whole = tf.as_dtype(one.dtype).is_integer
    return tf.truncatediv(one, other) if whole else tf.math.divide(one, other)


def _power(node: Node) -> Value:
    import tensorflow as tf

    (one, other), order = aligned([node.input(0), node.input(1)])
    base, exponent = tf.as_dtype(one.dtype), tf.as_dtype(other.dtype)
    if exponent.is_floating and not base.is_floating:
        raised = tf.pow(tf.cast(one, exponent), other)
        return Value(tf.cast(raised, base), order)
    return Value(tf.pow(one, tf.cast(other, base)), order)


def _where(node: Node) -> Value:
    import tensorflow as tf

    (condition, one, other), order = aligned([node.input(i) for i in range(3)])
    return Value(tf.where(condition, one, other), order)


def _prelu(node: Node) -> Value:
    import tensorflow as tf

    (values, slopes), order = aligned([node.input(0), node.input(1)])
    return Value(tf.maximum(values, 0.0) + slopes * tf.minimum(values, 0.0), order)


def _clip(node: Node) -> Value:
    import tensorflow as tf

    value = node.input(0)
    low, high = (node.constant(i).item() if node.optional(i) is not None else None for i in (1, 2))
    positive = low is not None and low >= 0
    if (low, high) == (0.0, 6.0):
        return Value(tf.nn.relu6(value.held), value.order, positive)
    held = value.held
    # Minimum first: ONNX gives the upper bound where the bounds cross.
    if low is not None:
        held = tf.nn.relu(held) if low == 0 else tf.maximum(held, tf.cast(low, held.dtype))
    if high is not None:
        held = tf.minimum(held, tf.cast(high, held.dtype))
    return Value(held, value.order, positive and (high is None or high >= 0))


def _hard_sigmoid(node: Node) -> Value:
    import tensorflow as tf

    value = node.input(0)
    alpha, beta = node.attributes.get("alpha", 0.2), node.attributes.get("beta", 0.5)
    if np.float32(alpha) == np.float32(1 / 6) and beta == 0.5:  # noqa: PLR2004 - as in hard swish
        held = tf.nn.relu6(value.held + 3.0) * np.float32(1 / 6)
    else:
        held = tf.clip_by_value(value.held * np.float32(alpha) + np.float32(beta), 0.0, 1.0)
    return Value(held, value.order, positive=True)


def _leaky_relu(node: Node) -> Value:
    import tensorflow as tf

    value = node.input(0)
    slope = node.attributes.get("alpha", 0.01)
    return Value(tf.nn.leaky_relu(value.held, slope), value.order)


def _elu(node: Node) -> Value:
    import tensorflow as tf

    value = node.input(0)
    if node.attributes.get("alpha", 1.0) != 1.0:
        raise refused(node, f"alpha {node.attributes['alpha']:g}, not 1")
    return Value(tf.nn.elu(value.held), value.order)


def _gelu(node: Node) -> Value:
    import tensorflow as tf

    value = node.input(0)
    rough = node.attributes.get("approximate", "none") == "tanh"
    return Value(tf.nn.gelu(value.held, approximate=rough), value.order)


def _cast(node: Node) -> Value:
    import onnx
    import tensorflow as tf

    value = node.input(0)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(node.attributes["to"])
    if dtype.kind not in "fiub":
        raise refused(node, f"the type {dtype}")
    return Value(tf.cast(value.held, tf.as_dtype(dtype)), value.order, value.positive)


def _same(node: Node) -> Value:
    if any(node.outputs[1:]):
        raise refused(node, "a second output")
    return node.input(0)


OPS: dict[str, Op] = {
    "Abs": _each(lambda tf, x: tf.abs(x), positive=True),
    "Ceil": _each(lambda tf, x: tf.math.ceil(x)),
    "Cos": _each(lambda tf, x: tf.cos(x)),
    "Erf": _each(lambda tf, x: tf.math.erf(x)),
    "Exp": _each(lambda tf, x: tf.exp(x), positive=True),
    "Floor": _each(lambda tf, x: tf.floor(x)),
    "HardSwish": _each(lambda tf, x: x * tf.nn.relu6(x + 3.0) * np.float32(1 / 6)),
    "Log": _each(lambda tf, x: tf.math.log(x)),
    "Mish": _each(lambda tf, x: x * tf.tanh(tf.math.softplus(x))),
    "Neg": _each(lambda tf, x: tf.negative(x)),
    "Not": _each(lambda tf, x: tf.logical_not(x)),
    "Reciprocal": _each(lambda tf, x: tf.math.reciprocal(x)),
    "Relu": _each(lambda tf, x: tf.nn.relu(x), positive=True),
    "Round": _each(lambda tf, x: tf.round(x)),
    "Sigmoid": _each(lambda tf, x: tf.sigmoid(x), positive=True),
    "Sign": _each(lambda tf, x: tf.sign(x)),
    "Sin": _each(lambda tf, x: tf.sin(x)),
    "Softplus": _each(lambda tf, x: tf.math.softplus(x), positive=True),
    "Sqrt": _each(lambda tf, x: tf.sqrt(x), positive=True),
    "Tanh": _each(lambda tf, x: tf.tanh(x)),
    "Add": _both(lambda tf, a, b: tf.add(a, b)),
    "And": _both(lambda tf, a, b: tf.logical_and(a, b)),
    "Div": _both(_divided),
    "Equal": _both(lambda tf, a, b: tf.equal(a, b)),
    "Greater": _both(lambda tf, a, b: tf.greater(a, b)),
    "GreaterOrEqual": _both(lambda tf, a, b: tf.greater_equal(a, b)),
    "Less": _both(lambda tf, a, b: tf.less(a, b)),
    "LessOrEqual": _both(lambda tf, a, b: tf.less_equal(a, b)),
    "Mul": _both(lambda tf, a, b: tf.multiply(a, b)),
    "Or": _both(lambda tf, a, b: tf.logical_or(a, b)),
    "Sub": _both(lambda tf, a, b: tf.subtract(a, b)),
    "Max": _all(lambda tf, a, b: tf.maximum(a, b)),
    "Min": _all(lambda tf, a, b: tf.minimum(a, b)),
    "Sum": _all(lambda tf, a, b: tf.add(a, b)),
    "Cast": _cast,
    "Clip": _clip,
    "Dropout": _same,
    "Elu": _elu,
    "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid,
    "Identity": _same,
    "LeakyRelu": _leaky_relu,
    "PRelu": _prelu,
    "Pow": _power,
    "Where": _where,
}
