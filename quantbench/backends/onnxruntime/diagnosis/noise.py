"""Quantization noise: what an ONNX graph computes in integers beside what it computes in float."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from quantbench.backends.onnxruntime.trace import Tracer
from quantbench.diagnosis.noise import Stored, TensorSums, in_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from quantbench.backends.onnxruntime.graph import OnnxGraph
    from quantbench.diagnosis.noise import TensorNoise

_FLOAT = 1  # TensorProto.FLOAT


def side_by_side(
    graph: OnnxGraph, built: OnnxGraph, samples: Sequence[NDArray[np.float32]]
) -> list[TensorNoise]:
    """Both graphs on the same samples, tensor by tensor in the float graph's order.

    A tensor that the built graph rounds is compared after it; what one graph alone has is left
    out.
    """
    rounded = built.scales
    there = {t for op in built.ops for t in op.outputs}
    written = [t for op in graph.ops for t in op.outputs if t in there]
    said_as = {t: rounded[t][1] if t in rounded else t for t in written}
    floats = _floats(graph, written)
    sums = {t: TensorSums() for t in floats}
    with (
        Tracer(graph.model, floats) as trace,
        Tracer(built.model, [said_as[t] for t in floats]) as trace_built,
    ):
        for sample in samples:
            said = dict(trace_built(sample))
            for tensor, values in trace(sample):
                other = said[said_as[tensor]]
                if other.size == values.size:
                    stored = _stored(built, tensor, other)
                    sums[tensor].add(values, other.reshape(values.shape), stored)
    return in_order(graph, sums)


def _floats(graph: OnnxGraph, tensors: Sequence[str]) -> list[str]:
    """Those that hold real values, not indices or shapes."""
    kinds = {
        each.name: each.type.tensor_type.elem_type
        for each in [*graph.model.graph.value_info, *graph.model.graph.output]
    }
    return [t for t in tensors if kinds.get(t, _FLOAT) == _FLOAT]


def _stored(built: OnnxGraph, tensor: str, said: NDArray[np.float32]) -> Stored | None:
    """The whole numbers of a rounded tensor, back from its real values."""
    if tensor not in built.scales:
        return None
    _, _, scale, zero = built.scales[tensor]
    if scale.size != 1:
        return None
    limits = np.iinfo(zero.dtype)
    step, point = float(scale.reshape(-1)[0]), int(zero.reshape(-1)[0])
    numbers = np.rint(said.astype(np.float64) / (step or 1.0)).astype(np.int64) + point
    return Stored(numbers, step, point, (int(limits.min), int(limits.max)))
