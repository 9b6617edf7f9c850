"""A float ONNX graph, observed, that the search mends: a setting is the ranges of all tensors."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.backends.onnxruntime.graph import CARRIES, WEIGHTED, OnnxGraph
from quantbench.backends.onnxruntime.quantizers.static import quantized
from quantbench.backends.onnxruntime.trace import Tracer
from quantbench.diagnosis.mending.ranged import START, Ranged
from quantbench.diagnosis.ranges import grid, observe, visible
from quantbench.diagnosis.recipe_files import MixedRecipe
from quantbench.diagnosis.wiring import tail

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from quantbench.core.progress import Step
    from quantbench.diagnosis.mending.candidates import Found
    from quantbench.diagnosis.mending.ranged import Ranges
    from quantbench.diagnosis.ranges import Range, Seen
    from quantbench.diagnosis.wiring import WiredOp

# Below these no op that reads a tensor tells one value from another.
_VISIBLE_FROM = {"HardSwish": -3.0, "HardSigmoid": -3.0, "Relu": 0.0, "Sigmoid": -12.0}
_NARROWEST = 1e-4  # width of a range: below it a scale says nothing, and a bias overflows


class Observed(Ranged[str]):
    """What the search asks of ONNX Runtime (`Mendable`)."""

    start = START
    carries = CARRIES

    def __init__(self, content: bytes, samples: Sequence[NDArray[Any]], step: Step) -> None:
        """Observe.

        Args:
            content: of the prepared float model.
            samples: prepared, that ranges are taken from.
            step: is told what is done next and of how many parts.
        """
        self._content, self.float_bytes = content, len(content)
        self.wiring = OnnxGraph.of(content)
        seen = observed(self.wiring, samples, step)
        extremes = {tensor for op in tail(self.wiring, CARRIES) for tensor in op.outputs}
        super().__init__(
            self.wiring, seen, extremes, lambda r: visible(self.wiring, r, _VISIBLE_FROM)
        )

    def build(self, ranges: Ranges, kept: Mapping[str, str]) -> bytes:
        """A QDQ model with these nodes in float."""
        return build_int8(self._content, ranges, kept)

    def rounded_alone(self, ranges: Ranges, tensor: str) -> bytes:
        """The float graph with one tensor in 8 bits of its range."""
        return rounded_alone(self.wiring.model, tensor, ranges[tensor])

    def extra_bytes(self, op: WiredOp[str]) -> int:
        """What a node's weights take more in float32 than in int8."""
        if op.kind not in WEIGHTED or not self.wiring.is_constant(op.inputs[1]):
            return 0
        return 3 * int(np.prod(self.wiring.constant(op.inputs[1]).shape))

    def recipe(self, found: Found[Ranges]) -> MixedRecipe:
        """Ranges and nodes in float."""
        chosen = found.chosen
        return MixedRecipe(
            setting={name: [low, high] for name, (low, high) in chosen.setting.items()},
            float_ops=chosen.kept,
            float_sha256=hashlib.sha256(self._content).hexdigest(),
            notes={**found.as_notes(), "ops": len(self.wiring.ops)},
        )


def observed(graph: OnnxGraph, samples: Sequence[NDArray[Any]], step: Step) -> dict[str, Seen]:
    """Every float tensor that an op writes, and the input, by name."""
    kinds = {
        each.name: each.type.tensor_type.elem_type
        for each in [*graph.model.graph.value_info, *graph.model.graph.output]
    }
    written = [t for op in graph.ops for t in op.outputs if kinds.get(t, 1) == 1]
    with Tracer(graph.model, written) as trace:
        return observe(
            partial(_with_input, trace, graph.inputs[0]),
            samples,
            step("observing ranges", 2 * len(samples)),
        )


def _with_input(trace: Tracer, name: str, sample: NDArray[Any]) -> Any:
    yield name, sample
    yield from trace(sample)


def build_int8(content: bytes, ranges: Ranges, kept: Mapping[str, str]) -> bytes:
    """A prepared float model in QDQ form: int8 weights per channel, activations in these ranges.

    Args:
        content: of the float model.
        ranges: of its tensors.
        kept: names of nodes that stay in float.
    """
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorsData

    measured = TensorsData(
        CalibrationMethod.MinMax,
        {name: tuple(map(np.float32, widened(each))) for name, each in ranges.items()},
    )
    return quantized(content, measured, kept)


def widened(within: Range) -> Range:
    """Not narrower than 1e-4."""
    low, high = within
    return (low, high) if high - low >= _NARROWEST else (low, low + _NARROWEST)


def rounded_alone(model: Any, tensor: str, within: Range) -> bytes:
    """The float graph with one tensor that a node writes rounded to 8 bits of this range."""
    import onnx
    from onnx import helper, numpy_helper

    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    scale, zero = grid(widened(within))
    graph, raw = changed.graph, f"{tensor}/raw"
    graph.initializer.append(numpy_helper.from_array(np.float32(scale), f"{tensor}/scale"))
    graph.initializer.append(numpy_helper.from_array(np.uint8(zero), f"{tensor}/zero"))
    place = next(i for i, node in enumerate(graph.node) if tensor in node.output)
    written = graph.node[place].output
    written[list(written).index(tensor)] = raw
    grids = [f"{tensor}/scale", f"{tensor}/zero"]
    there = helper.make_node("QuantizeLinear", [raw, *grids], [f"{tensor}/q"], f"{tensor}/to")
    back = helper.make_node("DequantizeLinear", [f"{tensor}/q", *grids], [tensor], f"{tensor}/back")
    graph.node.insert(place + 1, there)
    graph.node.insert(place + 2, back)
    content: bytes = changed.SerializeToString()
    return content
