"""ONNX's ops that move numbers and compute none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from quantbench.backends.litert.importers.onnx_ops.reshaping import reshaped
from quantbench.backends.litert.importers.onnx_ops.values import (
    Value,
    as_pictures,
    pictures,
    plainly,
    refused,
)

if TYPE_CHECKING:
    from quantbench.backends.litert.importers.onnx_ops.values import Node, Op


def _concat(node: Node) -> Value:
    import tensorflow as tf

    values = [value for value in node.inputs if value is not None]
    moving = [value for value in values if not value.constant]
    first = (moving or values)[0]
    order, axis = first.order, first.axis(node.attributes["axis"])
    held = tf.concat([value.held_as(order) for value in values], axis)
    return Value(held, order, all(value.positive for value in values))


def _split(node: Node) -> list[Value]:
    import tensorflow as tf

    value, n = node.input(0), len(node.outputs)
    meant = node.attributes.get("axis", 0)
    length = value.shape[meant]
    lengths = node.numbers(1, "split")
    if lengths is None:
        each = -(-length // node.attributes.get("num_outputs", n))
        lengths = [each] * (n - 1) + [length - each * (n - 1)]
    parts = tf.split(value.held, lengths, value.axis(meant))
    return [Value(part, value.order, value.positive) for part in parts]


def _slice(node: Node) -> Value:
    value = node.input(0)
    starts, ends = node.constant(1).reshape(-1).tolist(), node.constant(2).reshape(-1).tolist()
    axes = node.numbers(3, "axes") or list(range(len(starts)))
    steps = node.numbers(4, "steps") or [1] * len(starts)
    cut = [slice(None)] * value.rank
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        length = value.shape[axis]
        first, last, _ = slice(start, end, step).indices(length)
        if step < 0 and end < -length:
            last = -1
        cut[value.axis(axis)] = slice(first, None if last < 0 else last, step)
    return Value(value.held[tuple(cut)], value.order, value.positive)


def _gather(node: Node) -> Value:
    import tensorflow as tf

    value, chosen = node.input(0), node.input(1)
    meant = node.attributes.get("axis", 0) % value.rank
    length = value.shape[meant]
    indices = chosen.plain()
    indices = np.where(indices < 0, indices + length, indices) if chosen.constant else indices
    if chosen.constant and chosen.rank <= 1:
        held = tf.gather(value.held, tf.cast(indices, tf.int32), axis=value.axis(meant))
        order = value.order if chosen.rank else without(value.order, (meant,))
        return Value(held, order, value.positive)
    indices = tf.where(indices < 0, indices + tf.cast(length, indices.dtype), indices)
    return plainly(tf.gather(value.plain(), tf.cast(indices, tf.int32), axis=meant))


def without(order: tuple[int, ...], gone: tuple[int, ...]) -> tuple[int, ...]:
    """The order of the axes that are left."""
    left = sorted(set(order) - set(gone))
    return tuple(left.index(axis) for axis in order if axis not in gone)


def _transpose(node: Node) -> Value:
    """Nothing moves: the same tensor is held in another order."""
    value = node.input(0)
    perm = node.attributes.get("perm") or tuple(reversed(range(value.rank)))
    return Value(value.held, tuple(list(perm).index(axis) for axis in value.order), value.positive)


def _reshape(node: Node) -> Value:
    value, shape = node.input(0), node.constant(1).reshape(-1).tolist()
    if not node.attributes.get("allowzero", 0):
        shape = [n or value.shape[i] for i, n in enumerate(shape)]
    if shape.count(-1) == 1:
        known = int(np.prod([n for n in shape if n != -1], dtype=np.int64))
        shape[shape.index(-1)] = int(np.prod(value.shape, dtype=np.int64)) // max(known, 1)
    return reshaped(value, shape)


def _flatten(node: Node) -> Value:
    value, axis = node.input(0), node.attributes.get("axis", 1)
    axis = axis + value.rank if axis < 0 else axis
    sizes = [np.prod(part, dtype=np.int64) for part in (value.shape[:axis], value.shape[axis:])]
    return reshaped(value, [int(size) for size in sizes])


def _squeeze(node: Node) -> Value:
    import tensorflow as tf

    value, axes = node.input(0), node.numbers(1, "axes")
    if axes is None:
        axes = [axis for axis, length in enumerate(value.shape) if length == 1]
    gone = tuple(axis % value.rank for axis in axes)
    held = tf.squeeze(value.held, [value.axis(axis) for axis in gone]) if gone else value.held
    return Value(held, without(value.order, gone), value.positive)


def _unsqueeze(node: Node) -> Value:
    value, axes = node.input(0), node.numbers(1, "axes") or []
    rank = value.rank + len(axes)
    new = {axis % rank for axis in axes}
    shape = iter(value.shape)
    lengths = [1 if axis in new else next(shape) for axis in range(rank)]
    return reshaped(value, lengths)


def _expand(node: Node) -> Value:
    import tensorflow as tf

    value = node.input(0)
    shape = np.broadcast_shapes(value.shape, tuple(node.constant(1).tolist()))
    return plainly(tf.broadcast_to(value.plain(), shape), positive=value.positive)


def _tile(node: Node) -> Value:
    import tensorflow as tf

    repeats = node.constant(1).tolist()
    value = node.input(0)
    held = tf.tile(value.held, [repeats[axis] for axis in value.order])
    return Value(held, value.order, value.positive)


def _pad(node: Node) -> Value:
    import tensorflow as tf

    value, pads = node.input(0), node.constant(1).reshape(-1).tolist()
    axes = node.numbers(3, "axes") or list(range(value.rank))
    mode = node.attributes.get("mode", "constant")
    if min(pads, default=0) < 0 or mode not in {"constant", "reflect"}:
        raise refused(node, f"mode {mode} by {pads}")
    around = [[0, 0] for _ in range(value.rank)]
    for i, axis in enumerate(axes):
        around[value.axis(axis)] = [pads[i], pads[i + len(axes)]]
    filling = node.constant(2).item() if node.optional(2) is not None else 0
    if mode == "reflect":
        return Value(tf.pad(value.held, around, "REFLECT"), value.order, value.positive)
    held = tf.pad(value.held, around, constant_values=filling)
    return Value(held, value.order, value.positive and filling >= 0)


def _blocks(deep: bool) -> Op:  # noqa: FBT001 - two ops, each the other's inverse
    def op(node: Node) -> Value:
        """Channels to blocks of pixels, or back; plain reshapes, for ONNX has two orders."""
        import tensorflow as tf

        x, size = pictures(node), node.attributes["blocksize"]
        n, height, width, channels = (int(length) for length in x.shape)
        if not deep:
            x = tf.reshape(x, [n, height // size, size, width // size, size, channels])
            x = tf.transpose(x, [0, 1, 3, 2, 4, 5])
            shape = [n, height // size, width // size, channels * size**2]
        elif node.attributes.get("mode", "DCR") == "DCR":
            return as_pictures(tf.nn.depth_to_space(x, size))
        else:
            x = tf.reshape(x, [n, height, width, channels // size**2, size, size])
            x = tf.transpose(x, [0, 1, 4, 2, 5, 3])
            shape = [n, height * size, width * size, channels // size**2]
        return as_pictures(tf.reshape(x, shape))

    return op


def _shape(node: Node) -> Value:
    shape = node.input(0).shape
    cut = slice(node.attributes.get("start", 0), node.attributes.get("end"))
    return plainly(np.array(shape[cut], dtype=np.int64))


def _filled(node: Node) -> Value:
    value = node.attributes.get("value", np.zeros(1, np.float32))
    return plainly(np.full(node.constant(0).tolist(), value.reshape(()), value.dtype))


def _range(node: Node) -> Value:
    start, limit, step = (node.constant(i) for i in range(3))
    return plainly(np.arange(start.item(), limit.item(), step.item(), dtype=start.dtype))


def _constant(node: Node) -> Value:
    given = dict(node.attributes)
    if set(given) - {"value", "value_float", "value_floats", "value_int", "value_ints"}:
        raise refused(node, f"{sorted(given)}")
    ((name, value),) = given.items()
    dtype = None if name == "value" else np.float32 if "float" in name else np.int64
    return plainly(np.asarray(value, dtype=dtype))


OPS: dict[str, Op] = {
    "Concat": _concat,
    "Constant": _constant,
    "ConstantOfShape": _filled,
    "DepthToSpace": _blocks(deep=True),
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "Pad": _pad,
    "Range": _range,
    "Reshape": _reshape,
    "Shape": _shape,
    "Slice": _slice,
    "SpaceToDepth": _blocks(deep=False),
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
