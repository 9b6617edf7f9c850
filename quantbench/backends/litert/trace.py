"""Every tensor of a `.tflite` model while it runs, not its outputs alone."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.backends.litert.interpreter import dequantize, quantize
from quantbench.errors import PredictionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from quantbench.backends.litert.graph import Graph


class Tracer:
    """A model on plain kernels that keeps what every op writes.

    No delegate takes part: it would keep its tensors to itself.
    """

    def __init__(self, path: Path, graph: Graph) -> None:
        """Open the file that `graph` was read from.

        Raises:
            PredictionError: the interpreter cannot load it.
        """
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the memory that all tensors take
                self._interpreter = Interpreter(
                    str(path),
                    num_threads=2,
                    experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
                    experimental_preserve_all_tensors=True,
                )
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise PredictionError(
                "the LiteRT interpreter cannot load the model", where=path, got=error
            ) from error
        self._graph, self._path = graph, path
        written = {tensor for op in graph.ops for tensor in op.outputs}
        self._details = {
            detail["index"]: detail
            for detail in self._interpreter.get_tensor_details()
            if detail["index"] in written.union(graph.inputs)
            and np.dtype(detail["dtype"]) in _NUMBERS
        }

    def __call__(
        self, values: NDArray[np.float32], wanted: Iterable[int] | None = None
    ) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """One inference: the number and the real values of each tensor, in no order.

        Tensors of whole numbers without a scale (indices, shapes) are left out.

        Args:
            values: float input of the model's shape.
            wanted: numbers of tensors; None for all.

        Raises:
            PredictionError: the interpreter failed.
        """
        (fed,) = self._graph.inputs
        try:
            self._interpreter.set_tensor(fed, quantize(values, self._details[fed]))
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            raise PredictionError(
                "the LiteRT interpreter failed", where=self._path, got=error
            ) from error
        for number in self._details if wanted is None else wanted:
            detail: dict[str, Any] = self._details[number]
            if np.dtype(detail["dtype"]).kind == "f" or detail["quantization"][0]:
                yield number, dequantize(self._interpreter.get_tensor(number), detail)

    def stored(self, number: int) -> NDArray[Any]:
        """A tensor of the last inference as it is stored."""
        return np.asarray(self._interpreter.get_tensor(number))


_NUMBERS = {np.dtype(name) for name in ("float32", "float16", "int8", "uint8", "int16")}
