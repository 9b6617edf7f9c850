"""A `.tflite` as a function that gradients go through: one TensorFlow op for each of its ops.

It computes on real values. What the file stores as integers is rounded to the file's own scales
and zero points, with gradients that pass the rounding, so that a training sees what will be stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.backends.litert.graph import WEIGHTED
from quantbench.backends.litert.recovering.batches import keeps_samples_apart
from quantbench.backends.litert.recovering.ops import MOVES, computes, fused
from quantbench.backends.litert.recovering.weights import real_values, trained
from quantbench.diagnosis.tensorflow import start_tensorflow
from quantbench.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from quantbench.backends.litert.graph import Graph, Op

_INTEGERS = ("int8", "uint8", "int16")


class Executor:
    """A graph in TensorFlow.

    Attributes:
        trained: the constants that take other values than the file's.
        batched: whether several samples can go through at once.
    """

    def __init__(self, graph: Graph, where: str, float_graph: Graph | None = None) -> None:
        """Read the graph.

        Args:
            graph: is kept, and not changed.
            where: what it is called in errors.
            float_graph: that it was made from (`weights.trained`).

        Raises:
            BuildError: an op is not known here, or quantizes what it reads by itself.
        """
        start_tensorflow()
        self._graph, self._computes = graph, computes()
        self._check(where)
        self.trained = trained(graph, float_graph)
        self.weighted = [op for op in graph.ops if op.kind in WEIGHTED]
        self.batched = keeps_samples_apart(graph)
        places = {each.tensor for each in self.trained}
        read = dict.fromkeys(tensor for op in graph.ops for tensor in op.inputs)
        self._constants = {
            tensor: real_values(graph, tensor)
            for tensor in read
            if graph.is_constant(tensor) and tensor not in places
        }

    def __call__(self, samples: Any, shares: Sequence[Any] | None = None) -> dict[int, Any]:
        """Real values of all tensors that are computed, by their numbers.

        Args:
            samples: [samples, ...] in float32; of one sample where it is not `batched`.
            shares: of each trained constant (`Trained.start`); None for the file's values.
        """
        import tensorflow as tf

        (fed,) = self._graph.inputs
        found = {fed: self._rounded(fed, tf.convert_to_tensor(samples, tf.float32))}
        given = [each.start for each in self.trained] if shares is None else shares
        pairs = zip(self.trained, given, strict=True)
        known = {each.tensor: each.real(share) for each, share in pairs}
        for op in self._graph.ops:
            found |= self._computed(op, found, known)
        return found

    def alone(self, op: Op, values: Mapping[int, Any]) -> dict[int, Any]:
        """What one op writes, with the file's constants.

        Args:
            op: of the graph.
            values: real values of what it reads; those of computed weights may be left out.
        """
        found = {tensor: values[tensor] for tensor in op.inputs if tensor in values}
        for tensor in op.inputs:
            writer = self._graph.writer(tensor)
            if tensor not in found and writer is not None:  # weights that are read in float
                found |= self.alone(writer, values)
        mine = [each for each in self.trained if each.tensor in op.inputs]
        return self._computed(op, found, {each.tensor: each.real(each.start) for each in mine})

    def _computed(
        self, op: Op, found: Mapping[int, Any], known: Mapping[int, Any]
    ) -> dict[int, Any]:
        inputs = [
            found[tensor] if tensor in found else known.get(tensor, self._constants.get(tensor))
            for tensor in op.inputs
        ]
        said = self._computes[op.kind](op, inputs, self._shape(op))
        values = said if op.kind.startswith("SPLIT") else [said]
        pairs = zip(op.outputs, values, strict=True)
        return {t: self._after(op, t, fused(op.activation, value)) for t, value in pairs}

    def outputs(self, found: dict[int, Any]) -> dict[str, Any]:
        """The outputs among what is computed, by name."""
        return {name: found[tensor] for name, tensor in self._graph.outputs_by_name().items()}

    def _after(self, op: Op, tensor: int, value: Any) -> Any:
        if op.kind in MOVES and self._same_scale(op, tensor):
            return value
        return self._rounded(tensor, value)

    def _same_scale(self, op: Op, tensor: int) -> bool:
        mine = self._graph.quantization(tensor)
        others = [self._graph.quantization(i) for i in op.inputs if not self._graph.is_constant(i)]
        return all(
            np.array_equal(a, b) for other in others for a, b in zip(mine, other, strict=True)
        )

    def _rounded(self, tensor: int, value: Any) -> Any:
        import tensorflow as tf

        dtype = self._graph.dtype(tensor)
        scale, point = self._graph.quantization(tensor)
        if dtype not in _INTEGERS or not scale.size:
            return value
        ends = np.iinfo(dtype)
        low, high = ((end - int(point[0])) * float(scale[0]) for end in (ends.min, ends.max))
        return tf.quantization.fake_quant_with_min_max_args(value, low, high, ends.bits)

    def _shape(self, op: Op) -> tuple[int, ...]:
        """Of its first output, -1 for the samples."""
        shape = self._graph.shape(op.outputs[0])
        return (-1, *shape[1:]) if self.batched and shape else shape

    def _check(self, where: str) -> None:
        unknown = sorted({op.kind for op in self._graph.ops} - set(self._computes))
        if unknown:
            raise BuildError(
                "the model has ops that cannot be trained through",
                where=where,
                expected=", ".join(sorted(self._computes)),
                got=", ".join(unknown),
                remedy="train the float model itself before it is quantized, or cut the op off "
                "that is named (Detector(outputs=...) chooses what is kept)",
            )
