"""An OpenVINO graph as looks and searches walk it (`diagnosis.wiring.Wiring`).

A tensor goes by the friendly name of the op that writes it, with `:1` and so on for further
outputs. Constants, conversions of stored weights and roundings are no ops.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.diagnosis.wiring import Linked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quantbench.diagnosis.ranges import Range

CARRIES = {
    *("Sigmoid", "Softmax", "Reshape", "Concat", "Transpose", "StridedSlice", "Slice", "Squeeze"),
    *("Unsqueeze", "Convert", "Gather", "Split", "VariadicSplit", "Multiply", "Add", "Subtract"),
    *("Exp", "Divide"),
}
WEIGHTED = {"Convolution", "GroupConvolution", "MatMul", "ConvolutionBackpropData"}
_ENDS = {"Constant", "Parameter", "Result", "FakeQuantize"}


@dataclass(frozen=True)
class Op:
    """One op.

    Attributes:
        index: its place in the order of execution.
        kind: OpenVINO's word, e.g. `Convolution`.
        name: its friendly name.
        inputs: tensors it reads.
        outputs: tensors it writes.
        node: OpenVINO's own.
    """

    index: int
    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    node: Any


def tensor_of(output: Any) -> str:
    """The name of what an output of a node writes; a rounding has that of what it rounds."""
    node = output.get_node()
    if node.get_type_name() == "FakeQuantize":
        return tensor_of(node.input_value(0))
    name, place = node.get_friendly_name(), output.get_index()
    return f"{name}:{place}" if place else name


class OpenVinoGraph(Linked[str, Op]):
    """Ops, constants, and who writes and reads each tensor."""

    def __init__(self, model: Any) -> None:
        """Take a model of OpenVINO, which stays as it is."""
        self.model = model

    @cached_property
    def _constants(self) -> set[str]:
        """Tensors that are computed from constants alone: stored weights, and what unpacks them."""
        found: set[str] = set()
        for node in self.model.get_ordered_ops():
            reads = [tensor_of(each.get_source_output()) for each in node.inputs()]
            is_end = node.get_type_name() == "Constant"
            if is_end or (reads and all(each in found for each in reads)):
                found |= {tensor_of(output) for output in node.outputs()}
        return found

    @cached_property
    def ops(self) -> tuple[Op, ...]:
        """In the order they run."""
        nodes = [
            node
            for node in self.model.get_ordered_ops()
            if node.get_type_name() not in _ENDS
            and not all(tensor_of(output) in self._constants for output in node.outputs())
        ]
        return tuple(
            Op(
                i,
                node.get_type_name(),
                node.get_friendly_name(),
                tuple(tensor_of(each.get_source_output()) for each in node.inputs()),
                tuple(tensor_of(output) for output in node.outputs()),
                node,
            )
            for i, node in enumerate(nodes)
        )

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Tensors that are fed."""
        return tuple(node.get_friendly_name() for node in self.model.get_parameters())

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """Tensors that are the answers."""
        return tuple(tensor_of(node.input_value(0)) for node in self.model.get_results())

    def is_constant(self, tensor: str, /) -> bool:
        """Whether the file holds its values."""
        return tensor in self._constants

    def name(self, tensor: str, /) -> str:
        """The tensor itself."""
        return tensor

    @cached_property
    def real(self) -> dict[str, Any]:
        """Outputs of ops that hold float values, by tensor."""
        return {
            tensor: op.node.output(i)
            for op in self.ops
            for i, tensor in enumerate(op.outputs)
            if op.node.get_output_element_type(i).get_type_name() == "f32"
        }

    @cached_property
    def roundings(self) -> dict[str, Any]:
        """The `FakeQuantize` of each computed tensor that is rounded, as a whole, to 8 bits."""
        return {
            tensor_of(node.input_value(0)): node
            for node in self.model.get_ordered_ops()
            if node.get_type_name() == "FakeQuantize"
            and tensor_of(node.input_value(0)) not in self._constants
        }

    @cached_property
    def ranges(self) -> Mapping[str, Range]:
        """Of each rounded tensor what it can hold; of one a channel, the widest."""
        return {tensor: range_of(node) for tensor, node in self.roundings.items()}


def range_of(node: Any) -> Range:
    """The ends of a `FakeQuantize`."""
    low, high = (np.asarray(node.input_value(i).get_node().get_data()) for i in (3, 4))
    return float(low.min()), float(high.max())
