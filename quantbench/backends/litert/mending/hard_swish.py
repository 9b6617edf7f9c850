"""Hard-swish in a graph.

It is `x * relu6(x + 3) / 6` (Howard et al., "Searching for MobileNetV3", 2019).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from quantbench.backends.litert.graph import WEIGHTED
from quantbench.backends.litert.mending.repairs import Repair

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from quantbench.backends.litert.graph import Graph, Op

_GATE = "DEPTHWISE_CONV_2D"
_THREE = 3.0
_IMAGES = 4  # dimensions: batch, height, width, channels
_CLOSE = 1e-3  # of a constant: 1/6 in half precision is 2.4e-4 off


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


def hard_swishes(graph: Graph) -> list[HardSwish]:
    """Hard-swishes that are written out in the graph (Howard et al., 2019)."""
    return [found for op in graph.ops if (found := _hard_swish(graph, op)) is not None]


def _hard_swish(graph: Graph, op: Op) -> HardSwish | None:
    """The one that this op, `relu6(x + 3)`, is part of."""
    if op.kind != "ADD" or op.activation != "RELU6" or len(op.inputs) != 2:  # noqa: PLR2004
        return None
    x, three = sorted(op.inputs, key=graph.is_constant)
    readers = graph.readers(op.outputs[0])
    if not _is_about(graph.scalar(three), _THREE) or [each.kind for each in readers] != ["MUL"]:
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


def open_hard_swishes(graph: Graph) -> list[Repair]:
    """Write each HARD_SWISH as a depthwise convolution, relu6(x + 3), times x.

    XNNPACK takes both in int8 and HARD_SWISH in float only; and where `equalise` gives each
    channel of x a factor, the convolution's weights take it back. The output is six-fold, which
    goes into the weights that see it linearly; where a branch has none, a product with 1/6 follows.
    Where x is no batch of pictures the op stays.
    """
    from ai_edge_litert import schema_py_generated as schema

    repairs = []
    for name in [op.name for op in graph.ops if op.kind == "HARD_SWISH"]:
        op = _named(graph, name)
        (x,), (out,) = op.inputs, op.outputs
        if len(graph.shape(x)) != _IMAGES:
            continue
        weights = _linear_weights(graph, out, graph.readers(out))
        _scale(graph, weights or (), 1 / 6)
        channels = graph.shape(x)[-1]
        options = schema.DepthwiseConv2DOptionsT()
        options.strideH = options.strideW = options.depthMultiplier = 1
        options.fusedActivationFunction = schema.ActivationFunctionType.RELU6
        constants = [
            graph.add_constant(f"{name}/ones", np.ones((1, 1, 1, channels))),
            graph.add_constant(f"{name}/threes", np.full(channels, _THREE)),
        ]
        gate = graph.insert_before(op, _GATE, [x, *constants], options, f"{name}/gate")
        factors = [x, gate]
        if weights is None:
            six = graph.insert_before(
                _named(graph, name), "MUL", factors, schema.MulOptionsT(), f"{name}/six"
            )
            factors = [six, graph.add_constant(f"{name}/sixth", np.array([1 / 6]))]
        graph.become(_named(graph, name), "MUL", factors, schema.MulOptionsT())
        repairs.append(Repair("open hard-swish", name, "is x times relu6(x + 3)"))
    return repairs


def gates(graph: Graph) -> Iterator[tuple[Op, Op]]:
    """Each relu6(x + 3) as `open_hard_swishes` writes it, with what multiplies it by x."""
    for op in graph.ops:
        if op.kind != _GATE or op.activation != "RELU6" or len(op.inputs) != 3:  # noqa: PLR2004
            continue
        readers = graph.readers(op.outputs[0])
        if (
            [each.kind for each in readers] == ["MUL"]
            and op.inputs[0] in readers[0].inputs
            and all(map(graph.is_constant, op.inputs[1:]))
            and graph.shape(op.inputs[1])[1:3] == (1, 1)
            and (graph.constant(op.inputs[1]) > 0).all()
            and (graph.constant(op.inputs[2]) == _THREE).all()
        ):
            yield op, readers[0]


def shut_below(graph: Graph) -> dict[int, float]:
    """Of each tensor that a gate and its multiplication alone read, below which the gate is 0.

    In every channel: below it no value is told from another.
    """
    return {
        gate.inputs[0]: -_THREE / float(graph.constant(gate.inputs[1]).min())
        for gate, multiply in gates(graph)
        if graph.readers(gate.inputs[0]) == [gate, multiply] and gate.inputs[0] not in graph.outputs
    }


def _linear_weights(graph: Graph, tensor: int, readers: Sequence[Op]) -> set[int] | None:
    """Weights that take up a factor of this tensor; None if something sees it otherwise."""
    if tensor in graph.outputs:
        return None
    found: set[int] = set()
    for op in readers:
        if op.kind in WEIGHTED and op.inputs[0] == tensor:
            weight = op.inputs[1]
            if graph.is_shared(weight) or not graph.is_float_constant(weight):
                return None
            found.add(weight)
        elif op.kind == "MEAN" or (op.kind == "MUL" and op.inputs.count(tensor) == 1):
            further = _linear_weights(graph, op.outputs[0], graph.readers(op.outputs[0]))
            # What meets itself in a product would take the factor twice.
            if further is None or further & found or op.activation != "NONE":
                return None
            found |= further
        else:
            return None
    return found


def _scale(graph: Graph, weights: Iterable[int], factor: float) -> None:
    for weight in weights:
        graph.set_constant(weight, graph.constant(weight).astype(np.float64) * factor)


def _named(graph: Graph, name: str) -> Op:
    return next(op for op in graph.ops if op.name == name)


def _is_about(value: float | None, meant: float) -> bool:
    return value is not None and abs(value - meant) <= _CLOSE * abs(meant)
