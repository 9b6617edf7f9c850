"""Whether a graph that was made for one sample computes several at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from quantbench.backends.litert.graph import Graph, Op


def keeps_samples_apart(graph: Graph) -> bool:
    """Whether the first axis of all that depends on the input is the sample, and nothing mixes it.

    So that more samples than the one that the file was made for can go through at once.
    """
    depends = set(graph.inputs)
    for op in graph.ops:
        if depends.intersection(op.inputs):
            depends.update(op.outputs)
    if any(graph.shape(tensor)[:1] != (1,) for tensor in depends):
        return False
    return all(_apart(graph, op, depends) for op in graph.ops if depends & {*op.outputs})


def _apart(graph: Graph, op: Op, depends: set[int]) -> bool:
    """Whether an op leaves the first axis of its inputs as it is."""
    read = [tensor for tensor in op.inputs if tensor in depends]
    ranks = {len(graph.shape(tensor)) for tensor in read}
    if len(ranks) > 1:
        return False  # the shorter one would be aligned at its end
    (rank,) = ranks
    options = op.table.builtinOptions

    def numbers(place: int) -> list[int]:
        return [int(n) for n in np.ravel(graph.constant(op.inputs[place]))]

    rules: dict[str, Callable[[], bool]] = {
        "TRANSPOSE": lambda: numbers(1)[0] == 0,
        "CONCATENATION": lambda: options.axis % rank != 0,
        "MEAN": lambda: all(axis % rank != 0 for axis in numbers(1)),
        "TILE": lambda: numbers(1)[0] == 1,
        "PAD": lambda: numbers(1)[:2] == [0, 0],
        "PADV2": lambda: numbers(1)[:2] == [0, 0],
        "SPLIT": lambda: numbers(0)[0] % rank != 0,
        "SPLIT_V": lambda: numbers(2)[0] % rank != 0,
        "STRIDED_SLICE": lambda: not _special(options) & 1 and numbers(3)[0] == 1,
        "SOFTMAX": lambda: rank > 1,
    }
    return op.kind not in rules or bool(rules[op.kind]())


def _special(options: Any) -> int:
    """Axes of a strided slice that are no ranges, as bits."""
    return int(options.ellipsisMask | options.newAxisMask | options.shrinkAxisMask)
