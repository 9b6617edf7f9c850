"""One op quantized alone: what it costs the outputs when everything else stays in float."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from quantbench.backends.litert.interpreter import opened
from quantbench.backends.litert.mending.recipes import build_int8
from quantbench.diagnosis.decibels import decibels
from quantbench.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from quantbench.backends.litert.graph import Graph, Op
    from quantbench.backends.litert.mending.ranges import Range

Answers = list[dict[str, "NDArray[np.float32]"]]
# What carries an output's values as they are, or squashes them: judged with what feeds it.
_CARRIES = {
    *("LOGISTIC", "SOFTMAX", "RESHAPE", "CONCATENATION", "TRANSPOSE", "STRIDED_SLICE", "SLICE"),
    *("SQUEEZE", "EXPAND_DIMS", "DEQUANTIZE", "QUANTIZE", "MUL", "ADD", "SUB", "EXP", "SPLIT"),
}


class Outputs:
    """A model's answers to a few samples, to measure others against."""

    def __init__(self, content: bytes, samples: Sequence[NDArray[np.float32]]) -> None:
        """Run the float model."""
        self._samples = samples
        self._meant = self._answers(content)

    def _answers(self, content: bytes) -> Answers:
        with opened(content) as model:
            return [
                {name: values.copy() for name, values in model(sample).items()}
                for sample in self._samples
            ]

    def snr_db(self, content: bytes) -> dict[str, float]:
        """Signal to noise of each output of another model, in dB."""
        said = self._answers(content)
        return {
            name: decibels(
                sum(float((meant[name].astype(np.float64) ** 2).sum()) for meant in self._meant),
                sum(
                    float(((other[name].astype(np.float64) - meant[name]) ** 2).sum())
                    for other, meant in zip(said, self._meant, strict=True)
                ),
            )
            for name in self._meant[0]
        }


def each_alone(
    graph: Graph,
    ranges: Mapping[str, Range],
    outputs: Outputs,
    advance: Callable[[int], None] | None = None,
) -> dict[str, dict[str, float]]:
    """Of each op that can be quantized, the outputs' signal to noise with it alone in int8.

    Args:
        graph: repaired.
        ranges: of its tensors.
        outputs: of the float graph.
        advance: is called with 1 after each op.
    """
    found = {}
    for op in graph.ops:
        with suppress(BuildError):  # the tool has no integer form of it
            others = [other.name for other in graph.ops if other != op]
            found[op.name] = outputs.snr_db(build_int8(graph, ranges, others))
        if advance:
            advance(1)
    return found


def tail(graph: Graph) -> list[Op]:
    """From each output back to the op whose weights make it.

    Noise that is measured at an output undervalues these: a rounded score is near the float one,
    but many are then equal.
    """
    found: dict[int, Op] = {}
    ahead = list(graph.outputs)
    while ahead:
        op = graph.writer(ahead.pop())
        if op is None or op.index in found:
            continue
        found[op.index] = op
        if op.kind in _CARRIES:
            ahead += [t for t in op.inputs if not graph.is_constant(t)]
    return [found[i] for i in sorted(found)]
