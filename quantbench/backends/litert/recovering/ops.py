"""What each kind of op computes on real values, in TensorFlow, so that gradients go through it.

Semantics of the TensorFlow Lite builtins. Each function takes the op, its inputs (tensors, or numpy
arrays where the file holds them) and `samples`: how many there are in the first axis, or None where
that axis is what the file says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from quantbench.backends.litert.graph import Op

    Compute = Callable[[Op, Sequence[Any], tuple[int, ...]], Any]

# Values of the input, moved or repeated: no rounding where the scale stays.
MOVES = {
    *("RESHAPE", "TRANSPOSE", "CONCATENATION", "TILE", "STRIDED_SLICE", "SLICE", "SPLIT"),
    *("SPLIT_V", "SQUEEZE", "EXPAND_DIMS", "MAX_POOL_2D", "RESIZE_NEAREST_NEIGHBOR", "PAD"),
    *("PADV2", "DEQUANTIZE"),
}
_PADDINGS = ("SAME", "VALID")  # as the schema numbers them


def fused(word: str, x: Any) -> Any:
    """What an op does to its answer at last.

    Raises:
        KeyError: an activation function that is not known.
    """
    import tensorflow as tf

    known = {
        "NONE": lambda: x,
        "RELU": lambda: tf.nn.relu(x),
        "RELU6": lambda: tf.nn.relu6(x),
        "RELU_N1_TO_1": lambda: tf.clip_by_value(x, -1.0, 1.0),
        "TANH": lambda: tf.tanh(x),
    }
    return known[word]()


def computes() -> dict[str, Compute]:
    """The function of each kind of op that is known."""
    import tensorflow as tf

    def each(function: Callable[..., Any]) -> Compute:
        return lambda op, x, shape: function(*x)  # noqa: ARG005

    return {
        "CONV_2D": _conv,
        "DEPTHWISE_CONV_2D": _depthwise,
        "FULLY_CONNECTED": _fully_connected,
        "MAX_POOL_2D": _pooled(tf.nn.max_pool2d),
        "AVERAGE_POOL_2D": _pooled(tf.nn.avg_pool2d),
        "RESIZE_BILINEAR": _resized("ResizeBilinear"),
        "RESIZE_NEAREST_NEIGHBOR": _resized("ResizeNearestNeighbor"),
        "ADD": each(tf.add),
        "SUB": each(tf.subtract),
        "MUL": each(tf.multiply),
        "DIV": each(tf.divide),
        "MAXIMUM": each(tf.maximum),
        "MINIMUM": each(tf.minimum),
        "LOGISTIC": each(tf.sigmoid),
        "TANH": each(tf.tanh),
        "EXP": each(tf.exp),
        "RELU": each(tf.nn.relu),
        "RELU6": each(tf.nn.relu6),
        "RELU_N1_TO_1": each(lambda x: tf.clip_by_value(x, -1.0, 1.0)),
        "HARD_SWISH": each(lambda x: x * tf.nn.relu6(x + 3.0) / 6.0),
        "PRELU": each(lambda x, alpha: tf.maximum(x, 0.0) + alpha * tf.minimum(x, 0.0)),
        "LEAKY_RELU": lambda op, x, _: tf.nn.leaky_relu(x[0], op.table.builtinOptions.alpha),
        "SOFTMAX": lambda op, x, _: tf.nn.softmax(x[0] * op.table.builtinOptions.beta),
        "QUANTIZE": each(tf.identity),
        "DEQUANTIZE": each(tf.identity),
        "RESHAPE": lambda _, x, shape: tf.reshape(x[0], shape),
        "SQUEEZE": lambda _, x, shape: tf.reshape(x[0], shape),
        "EXPAND_DIMS": lambda _, x, shape: tf.reshape(x[0], shape),
        "TRANSPOSE": each(tf.transpose),
        "TILE": each(tf.tile),
        "PAD": each(tf.pad),
        "PADV2": each(lambda x, pads, value: tf.pad(x, pads, constant_values=np.ravel(value)[0])),
        "CONCATENATION": lambda op, x, _: tf.concat(x, op.table.builtinOptions.axis),
        "MEAN": lambda op, x, _: tf.reduce_mean(
            x[0], tuple(np.ravel(x[1])), keepdims=op.table.builtinOptions.keepDims
        ),
        "SPLIT": lambda op, x, _: tf.split(
            x[1], op.table.builtinOptions.numSplits, int(np.ravel(x[0])[0])
        ),
        "SPLIT_V": each(lambda x, sizes, axis: tf.split(x, sizes, int(np.ravel(axis)[0]))),
        "STRIDED_SLICE": _sliced_by_strides,
        "SLICE": _sliced,
    }


def _conv(op: Op, x: Sequence[Any], _: tuple[int, ...]) -> Any:
    """Filters [outputs, height, width, inputs]."""
    import tensorflow as tf

    options = op.table.builtinOptions
    found = tf.nn.conv2d(
        x[0],
        tf.transpose(x[1], (1, 2, 3, 0)),
        (options.strideH, options.strideW),
        _PADDINGS[options.padding],
        dilations=(options.dilationHFactor, options.dilationWFactor),
    )
    return _biased(found, x)


def _depthwise(op: Op, x: Sequence[Any], _: tuple[int, ...]) -> Any:
    """Filters [1, height, width, inputs * multiplier]."""
    import tensorflow as tf

    options = op.table.builtinOptions
    height, width = (int(n) for n in x[1].shape[1:3])
    filters = tf.reshape(x[1], (height, width, x[0].shape[-1], -1))
    found = tf.nn.depthwise_conv2d(
        x[0],
        filters,
        (1, options.strideH, options.strideW, 1),
        _PADDINGS[options.padding],
        dilations=(options.dilationHFactor, options.dilationWFactor),
    )
    return _biased(found, x)


def _fully_connected(op: Op, x: Sequence[Any], shape: tuple[int, ...]) -> Any:
    """Weights [outputs, inputs]."""
    import tensorflow as tf

    del op
    rows = tf.reshape(x[0], (-1, int(x[1].shape[1])))
    return tf.reshape(_biased(tf.matmul(rows, x[1], transpose_b=True), x), shape)


def _biased(found: Any, x: Sequence[Any]) -> Any:
    return found + x[2] if len(x) > 2 else found  # noqa: PLR2004 - input, weights, bias


def _pooled(pool: Callable[..., Any]) -> Compute:
    def compute(op: Op, x: Sequence[Any], _: tuple[int, ...]) -> Any:
        options = op.table.builtinOptions
        return pool(
            x[0],
            (options.filterHeight, options.filterWidth),
            (options.strideH, options.strideW),
            _PADDINGS[options.padding],
        )

    return compute


def _resized(name: str) -> Compute:
    def compute(op: Op, x: Sequence[Any], _: tuple[int, ...]) -> Any:
        import tensorflow as tf

        options = op.table.builtinOptions
        return getattr(tf.raw_ops, name)(
            images=x[0],
            size=x[1],
            align_corners=bool(options.alignCorners),
            half_pixel_centers=bool(options.halfPixelCenters),
        )

    return compute


def _sliced_by_strides(op: Op, x: Sequence[Any], shape: tuple[int, ...]) -> Any:
    import tensorflow as tf

    options = op.table.builtinOptions
    whole = int(shape[0] == -1)  # all samples
    return tf.strided_slice(
        *x,
        begin_mask=options.beginMask | whole,
        end_mask=options.endMask | whole,
        ellipsis_mask=options.ellipsisMask,
        new_axis_mask=options.newAxisMask,
        shrink_axis_mask=options.shrinkAxisMask,
    )


def _sliced(op: Op, x: Sequence[Any], shape: tuple[int, ...]) -> Any:
    import tensorflow as tf

    del op
    size = np.array(x[2])
    if shape[0] == -1:
        size[0] = -1
    return tf.slice(x[0], x[1], size)
