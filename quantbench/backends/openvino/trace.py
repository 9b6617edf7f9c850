"""Tensors of an OpenVINO graph while it runs, not its outputs alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quantbench.backends.openvino.graph import OpenVinoGraph
from quantbench.backends.openvino.session import OpenVinoModel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray


class Tracer:
    """A copy of a model with more outputs; all tensors of one sample are in memory."""

    def __init__(self, graph: OpenVinoGraph, tensors: Iterable[str]) -> None:
        """Compile.

        Args:
            graph: stays as it is.
            tensors: of it; where one is rounded, its rounded values are given.

        Raises:
            PredictionError: OpenVINO cannot compile it.
        """
        changed = OpenVinoGraph(graph.model.clone())
        self.tensors = list(tensors)
        roundings, real = changed.roundings, changed.real
        # What is an answer already is not added again.
        answers = {_port(node.input_value(0)): i for i, node in enumerate(changed.model.results)}
        self._places = []
        for tensor in self.tensors:
            output = roundings[tensor].output(0) if tensor in roundings else real[tensor]
            if _port(output) not in answers:
                answers[_port(output)] = len(answers)
                changed.model.add_outputs([output])
            self._places.append(answers[_port(output)])
        self._model = OpenVinoModel(changed.model, 2)

    def __call__(self, values: NDArray[np.float32]) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """One inference: the name and the values of each tensor.

        Raises:
            PredictionError: OpenVINO failed.
        """
        said = self._model.in_order(values)
        return zip(self.tensors, [said[place] for place in self._places], strict=True)


def _port(output: Any) -> tuple[str, int]:
    return output.get_node().get_friendly_name(), output.get_index()
