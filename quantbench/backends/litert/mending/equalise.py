"""Channels of a tensor brought to like sizes, before they share the tensor's one scale.

Cross-layer equalisation (Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias
Correction", 2019): a channel's factor goes into the weights that write it, and comes out of those
that read it. Factors are powers of two, so that, underflow apart, not a bit of the float answers
changes.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.backends.litert.graph import WEIGHTED
from quantbench.backends.litert.mending.hard_swish import shut_below
from quantbench.backends.litert.mending.repairs import Repair
from quantbench.backends.litert.trace import Tracer
from quantbench.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from quantbench.backends.litert.graph import Graph, Op

    Exponents = Mapping[str, Sequence[int]]  # of two, of each channel, by the tensor's name
    Nodes = NDArray[np.int64]

_MOST = 8  # the largest exponent
_PASS_ON = {  # what each channel goes through alone
    *("RELU", "LEAKY_RELU", "PRELU", "MEAN", "MAX_POOL_2D", "AVERAGE_POOL_2D"),
    *("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"),
}
_STRAIGHT = {"NONE", "RELU"}  # activations that a positive factor passes


def exponents(
    graph: Graph,
    samples: Sequence[NDArray[np.float32]],
    advance: Callable[[int], None] | None = None,
) -> dict[str, tuple[int, ...]]:
    """The factor of each channel of each tensor that `equalise` can give one.

    Where all that read a channel are depthwise convolutions, whose weights have a scale for each
    channel, channels become as large as one another. Where weights of several channels share a
    scale they keep their size: what the tensor's steps gained, those of the weights would lose.

    Args:
        graph: of float, hard-swishes opened.
        samples: inputs; a channel's size is the width of the values it takes on all of them.
        advance: is called with 1 after each sample.
    """
    groups = _groups(graph)
    sizes = _sizes(graph, samples, [t for t, group in groups.items() if group.any()], advance)
    largest: dict[int, float] = {}  # of a group, relative to the median channel of its tensor
    kept = {0}  # groups that keep their size
    for tensor, size in sizes.items():
        relative = size / (np.median(size[size > 0]) if size.any() else 1.0)
        for group, each in zip(groups[tensor], relative, strict=True):
            largest[group] = max(largest.get(group, 0.0), each)
        if any(_shares_scales(op) for op in graph.readers(tensor) if op.inputs[0] == tensor):
            kept.update(groups[tensor])
    chosen = {
        group: round(np.clip(-np.log2(size), -_MOST, _MOST))
        for group, size in largest.items()
        if group not in kept and size > 0
    }
    found = {t: tuple(chosen.get(group, 0) for group in groups[t]) for t in sizes}
    return {graph.name(tensor): each for tensor, each in found.items() if any(each)}


def equalise(graph: Graph, exponents: Exponents) -> list[Repair]:
    """Give each channel its factor.

    Args:
        graph: of float, hard-swishes opened; is changed.
        exponents: as the function of this name finds them.

    Raises:
        BuildError: they are another graph's, or would change its answers.
    """
    factors = {
        tensor: np.exp2(each) for tensor, each in _by_tensor(graph, exponents).items() if any(each)
    }
    repairs = []
    for op in graph.ops:
        if op.kind not in WEIGHTED or not _takes_factors(graph, op):
            continue
        read, written = factors.get(op.inputs[0]), factors.get(op.outputs[0])
        if read is None and written is None:
            continue
        weights, *biases = (graph.constant(tensor) for tensor in op.inputs[1:])
        if read is not None:  # input channels are the last axis of all that have weights
            weights = weights / read
        if written is not None:
            by_output = np.moveaxis(weights, WEIGHTED[op.kind], -1) * written
            weights = np.moveaxis(by_output, -1, WEIGHTED[op.kind])
            biases = [bias * written for bias in biases]
        for place, values in enumerate([weights, *biases], start=1):
            _set(graph, op, place, values)
        repairs.append(Repair("equalised channels", op.name, "weights take factors of channels"))
    return repairs


def _by_tensor(graph: Graph, exponents: Exponents) -> dict[int, Sequence[int]]:
    groups = _groups(graph)
    named = {graph.name(tensor): tensor for tensor in groups}
    chosen: dict[int, set[int]] = {0: {0}}
    found = {}
    for tensor, group in groups.items():
        found[tensor] = exponents.get(graph.name(tensor), (0,) * len(group))
        if len(found[tensor]) == len(group):
            for number, exponent in zip(group, found[tensor], strict=True):
                chosen.setdefault(number, set()).add(exponent)
    unknown = exponents.keys() - named.keys()
    if (
        unknown
        or any(len(found[tensor]) != len(group) for tensor, group in groups.items())
        or any(len(each) > 1 for each in chosen.values())
        or any(abs(exponent) > _MOST for each in chosen.values() for exponent in each)
    ):
        raise BuildError(
            "a recipe's factors of channels do not fit the model",
            expected=f"an exponent for each channel, at most {_MOST}, the same wherever the factor "
            "is passed on",
            got=", ".join(sorted(unknown))[:300] or "other numbers of channels, or factors",
            remedy="search again: quantbench mend CASE",
        )
    return found


def _set(graph: Graph, op: Op, place: int, values: NDArray[Any]) -> None:
    """Another constant at one of an op's inputs; others that read the old one keep it."""
    if graph.is_shared(op.inputs[place]):
        graph.set_input(op, place, graph.add_constant(f"{op.name}/{place}", values))
    else:
        graph.set_constant(op.inputs[place], values)


def _groups(graph: Graph) -> dict[int, Nodes]:
    """Of each tensor the groups of its channels; those of one have one factor, of group 0 none."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    nodes: dict[int, Nodes] = {}
    total = 1
    for op in graph.ops:
        for tensor in (*op.inputs, *op.outputs):
            if tensor not in nodes and not graph.is_constant(tensor) and graph.shape(tensor):
                nodes[tensor] = np.arange(total, total + graph.shape(tensor)[-1])
                total += len(nodes[tensor])
    ends = [nodes[t] for t in (*graph.inputs, *graph.outputs) if t in nodes]
    fixed = [np.stack([each, 0 * each]) for each in ends]
    pairs = np.concatenate(
        [*fixed, *(tie for op in graph.ops for tie in _ties(graph, op, nodes))], 1
    )
    ones = np.ones(pairs.shape[1])
    _, labels = connected_components(coo_array((ones, tuple(pairs)), (total, total)), False)
    # Node 0 is nobody's channel: what is tied to it keeps its size.
    numbers = np.where(labels == labels[0], 0, labels + 1)
    return {tensor: numbers[each] for tensor, each in nodes.items()}


def _ties(graph: Graph, op: Op, nodes: Mapping[int, Nodes]) -> Iterator[NDArray[np.int64]]:
    """Pairs of nodes, [2, n], that must have one factor because of this op."""
    read = [tensor for tensor in dict.fromkeys(op.inputs) if tensor in nodes]
    written = [tensor for tensor in op.outputs if tensor in nodes]
    straight = op.activation in _STRAIGHT and len(written) == 1
    if op.kind in WEIGHTED and _takes_factors(graph, op):
        loose = {*read, *written} if straight else set(read)
    else:
        passing = _passing(graph, op, read) if straight else []
        loose = {*passing, *written} if passing else set()
        sources = [nodes[tensor] for tensor in passing]
        if op.kind == "CONCATENATION" and passing:
            sources = [np.concatenate(sources)]
        yield from (np.stack([source, nodes[written[0]]]) for source in sources)
    yield from (np.stack([nodes[t], 0 * nodes[t]]) for t in {*read, *written} - loose)


def _passing(graph: Graph, op: Op, read: Sequence[int]) -> list[int]:
    """Inputs whose channels' factors are those of the output; the others must have none."""
    (out,) = op.outputs
    whole = [tensor for tensor in read if graph.shape(tensor) == graph.shape(out)]
    if op.kind in _PASS_ON:
        if len(read) != 1:  # axes or a size that are computed
            return []
        axes = graph.constant(op.inputs[1]).ravel().tolist() if op.kind == "MEAN" else []
        return [] if any(_is_last_axis(graph, op, axis) for axis in axes) else list(read)
    if op.kind == "CONCATENATION":  # of nothing constant
        last = _is_last_axis(graph, op, op.table.builtinOptions.axis)
        return list(op.inputs) if last and set(op.inputs) == set(read) else []
    if op.kind in {"ADD", "SUB"}:
        return whole if len(whole) == len(op.inputs) else []
    if op.kind == "MUL":  # by a constant, or by something of no factor
        square = len(read) < sum(not graph.is_constant(tensor) for tensor in op.inputs)
        return [] if square else whole[:1]
    return []


def _takes_factors(graph: Graph, op: Op) -> bool:
    """Whether its weights can take the factors of what it reads and what it writes."""
    weight = op.inputs[1]
    return (
        all(map(graph.is_float_constant, op.inputs[1:]))
        and graph.shape(weight)[-1:] == graph.shape(op.inputs[0])[-1:]
        and graph.shape(weight)[WEIGHTED[op.kind]] in graph.shape(op.outputs[0])[-1:]
    )


def _shares_scales(op: Op) -> bool:
    """Whether weights of several of its input channels have one scale."""
    return op.kind in WEIGHTED and op.kind != "DEPTHWISE_CONV_2D"


def _is_last_axis(graph: Graph, op: Op, axis: int) -> bool:
    return axis in {-1, len(graph.shape(op.inputs[0])) - 1}


def _sizes(
    graph: Graph,
    samples: Sequence[NDArray[np.float32]],
    tensors: Sequence[int],
    advance: Callable[[int], None] | None,
) -> dict[int, NDArray[np.float64]]:
    """Of each tensor the width of what each channel takes, 0 included; before a gate, from -3."""
    if not tensors:
        return {}
    low = {tensor: np.zeros(graph.shape(tensor)[-1]) for tensor in tensors}
    high = {tensor: np.zeros(graph.shape(tensor)[-1]) for tensor in tensors}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "float.tflite"
        path.write_bytes(graph.content())
        trace = Tracer(path, graph)
        for sample in samples:
            for tensor, values in trace(sample, tensors):
                by_channel = values.reshape(-1, values.shape[-1])
                low[tensor] = np.minimum(low[tensor], by_channel.min(axis=0))
                high[tensor] = np.maximum(high[tensor], by_channel.max(axis=0))
            if advance:
                advance(1)
    for tensor, below in shut_below(graph).items():
        # All of it, reached or not: a factor moves the value below which nothing is told apart,
        # and with the largest of them the tensor's range goes as far for every channel.
        if tensor in low:
            low[tensor] = np.full_like(low[tensor], below)
    return {tensor: high[tensor] - low[tensor] for tensor in tensors}
