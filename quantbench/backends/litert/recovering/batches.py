"""Whether a graph that was made for one sample computes several at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from quantbench.backends.litert.graph import Graph, Op

def keeps_samples_apart(graph: Graph) -> bool:
    """Whether the first axis of all that depends on the input is the sample, and nothing mixes it.

    So that more samples than the one that the file was made for can go through at once.
    """
    computed = {*graph.inputs, *(tensor for op in graph.ops for tensor in op.outputs)}
    depends = set(graph.inputs)
    for op in graph.ops:
        if depends.intersection(op.inputs):
            depends.update(op.outputs)
    if any(graph.shape(tensor)[:1] != (1,) for tensor in depends):
        return False
    return all(_apart(graph, op, depends & computed) for op in graph.ops if depends & {*op.outputs})


def _apart(graph: Graph, op: Op, depends: set[int]) -> bool:
    """Whether an op leaves the first axis of its inputs as it is."""
    read = [tensor for tensor in op.inputs if tensor in depends]
    if len({len(graph.shape(tensor)) for tensor in read}) > 1:
        return False  # the shorter one would be aligned at its end
    rank = len(graph.shape(read[0]))
    options = op.table.builtinOptions

    def numbers(place: int) -> list[int]:
        return [int(n) for n in np.ravel(graph.constant(op.inputs[place]))]

    if op.kind == "TRANSPOSE":
        return numbers(1)[0] == 0
    if op.kind == "CONCATENATION":
        return bool(options.axis % rank != 0)
    if op.kind == "MEAN":
        return all(axis % rank != 0 for axis in numbers(1))
    if op.kind == "TILE":
        return numbers(1)[0] == 1
    if op.kind in {"PAD", "PADV2"}:
        return numbers(1)[:2] == [0, 0]
    if op.kind in {"SPLIT", "SPLIT_V"}:
        return numbers(0 if op.kind == "SPLIT" else 2)[0] % rank != 0
    if op.kind == "STRIDED_SLICE":
        special = options.ellipsisMask | options.newAxisMask | options.shrinkAxisMask
        return not special & 1 and numbers(3)[0] == 1
    if op.kind == "SOFTMAX":
        return rank > 1
    return True
