"""An ONNX graph as looks and searches walk it (`diagnosis.wiring.Wiring`); tensors go by name."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.diagnosis.wiring import Linked

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

CARRIES = {
    *("Sigmoid", "Softmax", "Reshape", "Concat", "Transpose", "Slice", "Squeeze", "Unsqueeze"),
    *("Flatten", "Identity", "Cast", "Gather", "Split", "Mul", "Add", "Sub", "Exp", "Div"),
}
WEIGHTED = {"Conv", "ConvTranspose", "MatMul", "Gemm"}
_ZERO_POINT = 2  # place among the inputs of a QuantizeLinear


@dataclass(frozen=True)
class Op:
    """One node.

    Attributes:
        index: its place in the order of execution.
        kind: ONNX's word, e.g. `Conv`.
        name: of the node.
        inputs: names of the tensors it reads, without those left out.
        outputs: names of the tensors it writes.
    """

    index: int
    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class OnnxGraph(Linked[str, Op]):
    """Nodes, constants, and who writes and reads each tensor."""

    def __init__(self, model: Any) -> None:
        """Take a `ModelProto`, which stays as it is."""
        self.model = model

    @classmethod
    def of(cls, content: bytes) -> OnnxGraph:
        """Of a file's content."""
        import onnx

        return cls(onnx.load_model_from_string(content))

    @classmethod
    def read(cls, path: Path) -> OnnxGraph:
        """Of a file."""
        return cls.of(path.read_bytes())

    @cached_property
    def ops(self) -> tuple[Op, ...]:
        """In the order they run, without nodes that only hold a constant."""
        nodes = [node for node in self.model.graph.node if node.op_type != "Constant"]
        return tuple(
            Op(i, n.op_type, n.name, tuple(filter(None, n.input)), tuple(filter(None, n.output)))
            for i, n in enumerate(nodes)
        )

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Tensors that are fed."""
        return tuple(each.name for each in self.model.graph.input if each.name not in self._held)

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """Tensors that are the answers."""
        return tuple(each.name for each in self.model.graph.output)

    @cached_property
    def _held(self) -> dict[str, Any]:
        found = {tensor.name: tensor for tensor in self.model.graph.initializer}
        for node in self.model.graph.node:
            if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t"):
                found[node.output[0]] = node.attribute[0].t
        return found

    def is_constant(self, tensor: str, /) -> bool:
        """Whether the file holds its values."""
        return tensor in self._held

    def name(self, tensor: str, /) -> str:
        """The tensor itself: ONNX knows it by name."""
        return tensor

    def constant(self, tensor: str) -> NDArray[Any]:
        """The values that the file holds."""
        from onnx import numpy_helper

        values: NDArray[Any] = numpy_helper.to_array(self._held[tensor])
        return values

    @cached_property
    def scales(self) -> dict[str, tuple[str, str, NDArray[Any], NDArray[Any]]]:
        """Of each computed tensor that is rounded, by its name in the float graph.

        Names of the stored tensor and of what it is dequantized to, scale and zero point.
        """
        found: dict[str, tuple[str, str, NDArray[Any], NDArray[Any]]] = {}
        for op in self.ops:
            if op.kind != "QuantizeLinear" or not self.is_constant(op.inputs[1]):
                continue
            back = [each for each in self.readers(op.outputs[0]) if each.kind == "DequantizeLinear"]
            if not back or self.is_constant(op.inputs[0]):
                continue
            scale = self.constant(op.inputs[1])
            zero: NDArray[Any] = np.zeros((), np.uint8)  # ONNX's default
            if len(op.inputs) > _ZERO_POINT:
                if not self.is_constant(op.inputs[_ZERO_POINT]):
                    continue
                zero = self.constant(op.inputs[_ZERO_POINT])
            found[op.inputs[0]] = (op.outputs[0], back[0].outputs[0], scale, zero)
        return found
