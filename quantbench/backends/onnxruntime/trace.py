"""Tensors of an ONNX graph while it runs, not its outputs alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from quantbench.backends.onnxruntime.session import OnnxModel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray


class Tracer:
    """A model, unoptimized, that answers with the tensors that are asked for.

    Without optimization nothing is fused away, and what is quantized is rounded where the file
    says so. All tensors of one sample are in memory, never those of two.
    """

    def __init__(self, model: Any, tensors: Iterable[str]) -> None:
        """Open a copy of the `ModelProto` with more outputs.

        Raises:
            PredictionError: ONNX Runtime cannot load it.
        """
        import onnx

        changed = onnx.ModelProto()
        changed.CopyFrom(model)
        given = {output.name for output in changed.graph.output}
        self.tensors = list(dict.fromkeys(tensors))
        for name in self.tensors:
            if name not in given:
                changed.graph.output.append(onnx.ValueInfoProto(name=name))
        self._model = OnnxModel(changed.SerializeToString(), 2, optimized=False)

    def __call__(self, values: NDArray[np.float32]) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """One inference: the name and the values of each tensor.

        Raises:
            PredictionError: ONNX Runtime failed.
        """
        said = self._model(values)
        return ((name, said[name]) for name in self.tensors)

    def __enter__(self) -> Self:
        """Nothing more is opened."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Drop the session."""
        self._model.close()
