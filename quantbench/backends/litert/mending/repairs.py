"""What makes a float graph fit for integers without changing what it answers.

Each repair takes a graph, changes it in place, and says what it did, by op. Together they move the
float model's answers by rounding alone, which whoever repairs a model has to show.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from quantbench.backends.litert.graph import WEIGHTED
from quantbench.core.words import plural
from quantbench.diagnosis.scan_findings import BEYOND_REASON

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from quantbench.backends.litert.graph import Graph, Op

_ACTIVATIONS = {"RELU", "RELU6", "RELU_N1_TO_1"}
BIAS_LIMIT = 2.0**30  # half of what an int32 bias holds


@dataclass(frozen=True)
class Repair:
    """One change.

    Attributes:
        kind: "finite padding", "hard-swish", "open hard-swish", "fused activation", "equalised
            channels" or "dead channels".
        op: name of the op that was changed.
        text: what was done, for people.
    """

    kind: str
    op: str
    text: str


def fuse_activations(graph: Graph) -> list[Repair]:
    """Write each activation that is an op of its own as a product with 1 that has it fused.

    XNNPACK takes that in int8; a RELU between two scales it leaves to LiteRT's plain kernel, which
    is tens of times slower. The answers are the same to the last bit in float.
    """
    from ai_edge_litert import schema_py_generated as schema

    repairs = []
    for op in [op for op in graph.ops if op.kind in _ACTIVATIONS]:
        options = schema.MulOptionsT()
        options.fusedActivationFunction = getattr(schema.ActivationFunctionType, op.kind)
        one = graph.add_constant(f"{op.name}/one", np.ones(1))
        graph.become(op, "MUL", [op.inputs[0], one], options)
        repairs.append(Repair("fused activation", op.name, f"{op.kind} is fused into a product"))
    return repairs


def infinite_pads(graph: Graph) -> list[Op]:
    """Ops that pad with a constant that is infinite, or stands for it."""
    return [
        op
        for op in graph.ops
        if op.kind == "PADV2"
        and (value := graph.scalar(op.inputs[2])) is not None
        and not abs(value) < BEYOND_REASON
    ]


def make_paddings_finite(graph: Graph, ranges: Mapping[str, tuple[float, float]]) -> list[Repair]:
    """Let pads that stand for minus infinity pad with the least value that their input takes.

    Integers hold no infinity: the scale would be infinite too. What pads a maximum must not win;
    the least value of all that is padded cannot, as long as each window holds a real one.
    """
    repairs = []
    for op in infinite_pads(graph):
        was = graph.scalar(op.inputs[2])
        least = ranges[graph.name(op.inputs[0])][0]
        shape = graph.shape(op.inputs[2])
        constant = graph.add_constant(f"{op.name}/padding", np.full(shape, least))
        graph.set_input(op, 2, constant)
        text = f"pads with {least:.3g} instead of {was:g}"
        repairs.append(Repair("finite padding", op.name, text))
    return repairs


@dataclass(frozen=True)
class DeadChannels:
    """Channels whose weights are next to nothing beside their bias.

    A bias is stored in steps of (scale of the input) x (scale of the channel's weights). Where the
    weights vanish so does the step, and the bias ends at the limit of an int32.

    Attributes:
        op: the convolution or product.
        channels: which of its output channels.
        least: of each, the largest weight that it must have, >= 0.
    """

    op: Op
    channels: NDArray[np.int64]
    least: NDArray[np.float64]


def biased(graph: Graph) -> Iterator[tuple[Op, int, int]]:
    """Each op that multiplies with constant weights and adds a constant bias, with the two."""
    for op in graph.ops:
        if op.kind in WEIGHTED and len(op.inputs) > 2:  # noqa: PLR2004 - input, weights, bias
            weight, bias = op.inputs[1:3]
            if graph.is_constant(weight) and graph.is_constant(bias):
                yield op, weight, bias


def largest_weights(graph: Graph, op: Op, weight: int) -> NDArray[np.float64]:
    """The largest absolute weight of each output channel."""
    values = np.abs(graph.constant(weight).astype(np.float64))
    axis = WEIGHTED[op.kind]
    return np.asarray(values.max(axis=tuple(i for i in range(values.ndim) if i != axis)))


def dead_channels(graph: Graph, ranges: Mapping[str, tuple[float, float]]) -> list[DeadChannels]:
    """Channels whose int32 bias would overflow, the inputs having these ranges."""
    found = []
    for op, weight, bias in biased(graph):
        low, high = ranges.get(graph.name(op.inputs[0]), (0.0, 0.0))
        if high <= low:
            continue
        largest = largest_weights(graph, op, weight)
        step = (high - low) / 255
        least = 127 * np.abs(graph.constant(bias).astype(np.float64)) / (step * BIAS_LIMIT)
        (dead,) = np.nonzero(largest < least)
        if dead.size:
            found.append(DeadChannels(op, dead, least[dead]))
    return found


def wake_channels(graph: Graph, ranges: Mapping[str, tuple[float, float]]) -> list[Repair]:
    """Give each dead channel one weight that keeps its bias within an int32.

    The weight moves the channel's output by at most 3e-5 of its bias.
    """
    repairs = []
    for found in dead_channels(graph, ranges):
        weight = found.op.inputs[1]
        values = graph.constant(weight).copy()
        by_channel = np.moveaxis(values, WEIGHTED[found.op.kind], 0)
        by_channel.reshape(by_channel.shape[0], -1, copy=False)[found.channels, 0] = found.least
        graph.set_constant(weight, values)
        woken = plural(len(found.channels), "channel")
        text = f"{woken} without weights got one of {found.least.max():.1e}"
        repairs.append(Repair("dead channels", found.op.name, text))
    return repairs
