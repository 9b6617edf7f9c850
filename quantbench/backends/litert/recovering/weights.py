"""Constants of a `.tflite` that are trained: as numbers that can move, and as the file keeps them.

What moves is a share of what the integers can say, so that one learning rate fits all bit widths.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.backends.litert.graph import WEIGHTED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from quantbench.backends.litert.graph import Graph, Op

_LEVELS = {"int4": 7, "int8": 127}  # symmetric: the LiteRT specification of weights
_BIASES = {"int32": 2.0**31 - 1, "int64": 2.0**62}  # the largest that is stored
_NEAREST = 0.49  # of a step: what is rounded to the same integer
_ROUNDED, _OTHERS = 0.51, 0.1  # by more than this, more than this share: weights of another model


@dataclass(frozen=True)
class Trained:
    """A constant that is trained.

    Attributes:
        tensor: its number.
        name: its name in the file.
        start: shares of `unit`, float32, in the constant's shape.
        unit: what a share of 1 is worth, float32; broadcast over the constant.
        levels: steps in a `unit`, for weights that are rounded; 0 for others.
        scale: of the stored integers, float64; broadcast over the constant. None of floats.
        most: the largest integer of a bias.
    """

    tensor: int
    name: str
    start: NDArray[np.float32]
    unit: NDArray[np.float32]
    levels: int
    scale: NDArray[np.float64] | None
    most: float = 0.0

    def real(self, shares: Any) -> Any:
        """The real values that the file would hold, as TensorFlow's; gradients pass rounding.

        A straight-through estimator (Bengio et al., "Estimating or Propagating Gradients Through
        Stochastic Neurons", 2013). A bias has steps so fine that it is not rounded here.
        """
        import tensorflow as tf

        if not self.levels or self.scale is None:
            return shares * self.unit
        steps = tf.clip_by_value(shares * self.levels, -self.levels, self.levels)
        rounded = steps + tf.stop_gradient(tf.round(steps) - steps)
        return rounded * self.scale.astype(np.float32)

    def stored(self, shares: NDArray[np.float32]) -> NDArray[Any]:
        """As the file holds them: integers, or float32."""
        if self.scale is None:
            return np.asarray(shares * self.unit, np.float32)
        if self.levels:
            steps = np.clip(shares * np.float32(self.levels), -self.levels, self.levels)
            return np.rint(steps).astype(np.int8)
        wanted = shares.astype(np.float64) * self.unit / self.scale
        return np.rint(np.clip(wanted, -self.most, self.most)).astype(np.int64)


def trained(graph: Graph, float_graph: Graph | None = None) -> list[Trained]:
    """Weights and biases of all convolutions and products, each once.

    Left as they are: integers whose zero point is not zero, and weights in half precision.

    Args:
        graph: whose constants they are.
        float_graph: that it was made from, if known. Weights then start where they were before they
            were rounded, so that those that were hardly rounded up are the first to be rounded
            down.
    """
    found: dict[int, Trained] = {}
    pairs = _paired(graph, float_graph)
    for op, float_op in pairs:
        for place, tensor in enumerate(op.inputs[1:], start=1):
            source = held_by(graph, tensor)
            if source is None or source in found:
                continue
            axis = WEIGHTED[op.kind] if place == 1 else 0
            if (one := _of(graph, source, axis)) is None:
                continue
            if float_graph is not None and float_op is not None and one.levels:
                one = _unrounded(one, float_graph, float_op.inputs[place])
            found[source] = one
    return list(found.values())


def _paired(graph: Graph, float_graph: Graph | None) -> list[tuple[Op, Op | None]]:
    """Ops with weights, and those of the float graph in the same order, where they are as many."""
    mine = [op for op in graph.ops if op.kind in WEIGHTED]
    others = [op for op in float_graph.ops if op.kind in WEIGHTED] if float_graph else []
    if [op.kind for op in mine] != [op.kind for op in others]:
        return [(op, None) for op in mine]
    return list(zip(mine, others, strict=True))


def _unrounded(one: Trained, float_graph: Graph, tensor: int) -> Trained:
    """With the start that the float weights give; the same where these are others."""
    source = held_by(float_graph, tensor)
    if source is None or float_graph.shape(source) != one.start.shape or one.scale is None:
        return one
    steps = one.start * one.levels
    left = real_values(float_graph, source) / one.scale - steps
    if (np.abs(left) > _ROUNDED).mean() > _OTHERS:
        return one
    start = (steps + np.clip(left, -_NEAREST, _NEAREST)) / one.levels
    return replace(one, start=np.clip(start, -1, 1).astype(np.float32))


def held_by(graph: Graph, tensor: int) -> int | None:
    """The constant behind a tensor: itself, or what a DEQUANTIZE reads; None if computed."""
    if graph.is_constant(tensor):
        return tensor
    writer = graph.writer(tensor)
    if writer is None or writer.kind != "DEQUANTIZE":
        return None
    return held_by(graph, writer.inputs[0])


def real_values(graph: Graph, tensor: int) -> NDArray[Any]:
    """Of a constant: in float32 where it is quantized or in halves, else as it is stored."""
    values = graph.constant(tensor)
    scale, point = graph.quantization(tensor)
    if values.dtype.kind == "f" or not scale.size:
        return values.astype(np.float32) if values.dtype.kind == "f" else values
    axis = graph.quantized_axis(tensor)
    spread = (values - _along(point, axis, values.ndim)) * _along(scale, axis, values.ndim)
    return np.asarray(spread, np.float32)


def _of(graph: Graph, tensor: int, axis: int) -> Trained | None:
    dtype, values = graph.dtype(tensor), graph.constant(tensor)
    scale, point = graph.quantization(tensor)
    name = graph.name(tensor)
    if dtype == "float32":
        unit = _largest(values.astype(np.float64), axis if values.ndim > 1 else None)
        return Trained(tensor, name, (values / unit).astype(np.float32), unit, 0, None)
    if not scale.size or point.any():
        return None
    steps = _along(scale, graph.quantized_axis(tensor), values.ndim)
    if dtype in _LEVELS:
        levels = _LEVELS[dtype]
        start = (values / np.float32(levels)).clip(-1, 1).astype(np.float32)
        return Trained(tensor, name, start, (steps * levels).astype(np.float32), levels, steps)
    if dtype in _BIASES:
        unit = _largest(values * steps, None)
        start = (values * steps / unit).astype(np.float32)
        return Trained(tensor, name, start, unit, 0, steps, _BIASES[dtype])
    return None


def _largest(values: NDArray[np.float64], axis: int | None) -> NDArray[np.float32]:
    """The largest size of each channel, or of all; 1 where all are 0."""
    others = tuple(i for i in range(values.ndim) if i != axis)
    size = np.abs(values).max(axis=others, keepdims=True)
    return np.where(size > 0, size, 1.0).astype(np.float32)


def _along(values: NDArray[Any], axis: int, rank: int) -> NDArray[Any]:
    """One value a channel, or one for all, in a shape that is broadcast over the constant."""
    if values.size == 1 or rank == 0:
        return values.reshape((1,) * rank)
    return values.reshape([-1 if i == axis else 1 for i in range(rank)])
