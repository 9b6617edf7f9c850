"""What makes a float graph fit for integers without changing what it answers.

Each repair takes a graph, changes it in place, and says what it did, by op. Together they move the
float model's answers by rounding alone, which whoever repairs a model has to show.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from quantbench.graph import WEIGHTED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from quantbench.graph import Graph, Op

BEYOND_REASON = 1e30  # constants that stand for infinity
BIAS_LIMIT = 2.0**30  # half of what an int32 bias holds
_CLOSE = 1e-3  # of a constant: 1/6 in half precision is 2.4e-4 off


@dataclass(frozen=True)
class Repair:
    """One change.

    Attributes:
        kind: "finite padding", "hard-swish" or "dead channels".
        op: name of the op that was changed.
        text: what was done, for people.
    """

    kind: str
    op: str
    text: str


@dataclass(frozen=True)
class HardSwish:
    """`x * relu6(x + 3)`, with or without its 1/6.

    Attributes:
        x: the tensor it is of.
        multiply: the op that becomes HARD_SWISH.
        factor: of `multiply`'s output over hard-swish.
        sixths: ops that multiply that output by about 1/6.
        dropped: ops that are not needed any more.
    """

    x: int
    multiply: Op
    factor: float
    sixths: tuple[Op, ...]
    dropped: tuple[Op, ...]


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


def hard_swishes(graph: Graph) -> list[HardSwish]:
    """Hard-swishes that are written out in the graph (Howard et al., 2019)."""
    return [found for op in graph.ops if (found := _hard_swish(graph, op)) is not None]


def _hard_swish(graph: Graph, op: Op) -> HardSwish | None:
    """The one that this op, `relu6(x + 3)`, is part of."""
    if op.kind != "ADD" or op.activation != "RELU6" or len(op.inputs) != 2:  # noqa: PLR2004
        return None
    x, three = sorted(op.inputs, key=graph.is_constant)
    readers = graph.readers(op.outputs[0])
    if not _is_about(graph.scalar(three), 3.0) or [each.kind for each in readers] != ["MUL"]:
        return None
    (multiply,) = readers
    other = next((t for t in multiply.inputs if t != op.outputs[0]), x)
    factor, dropped = 6.0, [op]
    if other != x:  # (x / 6) * relu6(x + 3)
        before = graph.writer(other)
        if before is None or before.kind != "MUL" or len(graph.readers(other)) > 1:
            return None
        sixth = [graph.scalar(t) for t in before.inputs if t != x]
        if x not in before.inputs or len(sixth) != 1 or not _is_about(sixth[0], 1 / 6):
            return None
        factor, dropped = 6.0 * (sixth[0] or 0.0), [op, before]
    sixths = tuple(
        reader
        for reader in graph.readers(multiply.outputs[0])
        if reader.kind == "MUL" and any(_is_about(graph.scalar(t), 1 / 6) for t in reader.inputs)
    )
    return HardSwish(x, multiply, factor, sixths, tuple(dropped))


def fuse_hard_swishes(graph: Graph) -> list[Repair]:
    """Write each as the one op HARD_SWISH, whose integer kernel rounds once.

    The factor that is left over goes into the weights that see the output linearly, so that the
    answers stay; where a branch has none, its multiplication stays.
    """
    repairs: list[Repair] = []
    left: set[str] = set()  # whose factor has nowhere to go
    while True:
        found = next((h for h in hard_swishes(graph) if h.multiply.name not in left), None)
        if found is None:
            return repairs
        if _fuse(graph, found):
            name = found.multiply.name
            repairs.append(Repair("hard-swish", name, "is the one op HARD_SWISH"))
        else:
            left.add(found.multiply.name)


def _fuse(graph: Graph, found: HardSwish) -> bool:
    out = found.multiply.outputs[0]
    direct = [op for op in graph.readers(out) if op not in found.sixths]
    weights = _linear_weights(graph, out, direct)
    if weights is None:
        return False
    _scale(graph, weights, found.factor)
    gone = list(found.dropped)
    for op in found.sixths:
        (sixth,) = (value for t in op.inputs if (value := graph.scalar(t)) is not None)
        factor, product = found.factor * sixth, op.outputs[0]
        weights = _linear_weights(graph, product, graph.readers(product))
        if weights is None:
            constant = graph.add_constant(f"{op.name}/factor", np.array([factor]))
            op.table.inputs = [out, constant]
        else:
            _scale(graph, weights, factor)
            graph.rewire(product, out)
            gone.append(op)
    graph.become(found.multiply, "HARD_SWISH", [found.x])
    graph.drop(gone)
    return True


def _linear_weights(graph: Graph, tensor: int, readers: Sequence[Op]) -> set[int] | None:
    """Weights that take up a factor of this tensor; None if something sees it otherwise."""
    if tensor in graph.outputs:
        return None
    found: set[int] = set()
    for op in readers:
        if op.kind in WEIGHTED and op.inputs[0] == tensor:
            weight = op.inputs[1]
            if graph.is_shared(weight) or graph.dtype(weight) != "float32":
                return None
            found.add(weight)
        elif op.kind == "MEAN" or (op.kind == "MUL" and op.inputs.count(tensor) == 1):
            further = _linear_weights(graph, op.outputs[0], graph.readers(op.outputs[0]))
            if further is None or op.activation != "NONE":
                return None
            found |= further
        else:
            return None
    return found


def _scale(graph: Graph, weights: Iterable[int], factor: float) -> None:
    for weight in weights:
        graph.set_constant(weight, graph.constant(weight).astype(np.float64) * factor)


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
        n = len(found.channels)
        text = f"{n} channel{'s' * (n > 1)} without weights got one of {found.least.max():.1e}"
        repairs.append(Repair("dead channels", found.op.name, text))
    return repairs


def _is_about(value: float | None, meant: float) -> bool:
    return value is not None and abs(value - meant) <= _CLOSE * abs(meant)
