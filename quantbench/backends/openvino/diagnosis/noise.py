"""Quantization noise: what an OpenVINO graph computes in integers beside what it does in float."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from quantbench.backends.openvino.graph import range_of
from quantbench.backends.openvino.trace import Tracer
from quantbench.diagnosis.noise import Stored, TensorSums, in_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from quantbench.backends.openvino.graph import OpenVinoGraph
    from quantbench.diagnosis.noise import TensorNoise


def side_by_side(
    graph: OpenVinoGraph, built: OpenVinoGraph, samples: Sequence[NDArray[np.float32]]
) -> list[TensorNoise]:
    """Both graphs on the same samples, tensor by tensor in the float graph's order.

    A tensor that the built graph rounds is compared after it; what one graph alone has is left
    out. More outputs keep the runtime from fusing through them, so that noise is that of the
    graph as it is written.
    """
    tensors = [tensor for tensor in graph.real if tensor in built.real]
    sums = {tensor: TensorSums() for tensor in tensors}
    trace, trace_built = Tracer(graph, tensors), Tracer(built, tensors)
    for sample in samples:
        for (tensor, values), (_, said) in zip(trace(sample), trace_built(sample), strict=True):
            if said.shape == values.shape:
                sums[tensor].add(values, said, _stored(built, tensor, said))
    return in_order(graph, sums)


def _stored(built: OpenVinoGraph, tensor: str, said: NDArray[np.float32]) -> Stored | None:
    """The whole numbers of a rounded tensor, back from its real values."""
    node = built.roundings.get(tensor)
    if node is None or node.input_value(3).get_node().get_data().size != 1:
        return None
    low, high = range_of(node)
    levels = int(node.get_attributes()["levels"])
    step = (high - low) / (levels - 1) or 1.0
    point = round(-low / step)
    numbers = np.rint((said.astype(np.float64) - low) / step).astype(np.int64)
    return Stored(numbers, step, point, (0, levels - 1))
