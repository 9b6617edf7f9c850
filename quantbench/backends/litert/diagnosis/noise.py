"""Quantization noise: a float `.tflite` beside what was built of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from quantbench.backends.litert.graph import Graph
from quantbench.backends.litert.trace import Tracer
from quantbench.diagnosis.noise import Stored, TensorSums, in_order

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from quantbench.diagnosis.noise import TensorNoise


def side_by_side(
    float_path: Path, built_path: Path, samples: Sequence[NDArray[np.float32]]
) -> list[TensorNoise]:
    """Both graphs on the same samples, tensor by tensor in the float graph's order.

    Tensors are matched by name; what one graph alone has (fused, converted) is left out. Noise
    adds up along the graph; `drop_db` is an op's own part.
    """
    graph, built = Graph.read(float_path), Graph.read(built_path)
    names = {built.name(tensor): tensor for op in built.ops for tensor in op.outputs}
    pairs = {
        tensor: names[name]
        for op in graph.ops
        for tensor in op.outputs
        if (name := graph.name(tensor)) in names
    }
    sums = {tensor: TensorSums() for tensor in pairs}
    trace, trace_built = Tracer(float_path, graph), Tracer(built_path, built)
    for sample in samples:
        said = dict(trace_built(sample))
        for tensor, values in trace(sample):
            other = pairs.get(tensor)
            if other is not None and other in said and said[other].size == values.size:
                sums[tensor].add(values, said[other], _stored(built, trace_built, other))
    return in_order(graph, sums)


def _stored(built: Graph, trace: Tracer, tensor: int) -> Stored | None:
    """A tensor of the last inference; None of one in float."""
    values = trace.stored(tensor)
    if values.dtype.kind == "f":
        return None
    (scale, *_), (point, *_) = built.quantization(tensor)
    limits = np.iinfo(values.dtype)
    return Stored(values, float(scale), int(point), (limits.min, limits.max))
