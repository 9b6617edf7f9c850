"""One op quantized alone: what it costs the outputs when everything else stays in float."""

from __future__ import annotations

import itertools
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from quantbench.diagnosis.noise import SILENT_DB, decibels
from quantbench.errors import BuildError
from quantbench.litert import opened
from quantbench.quantize.recipes import quantized

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from quantbench.graph import Graph, Op
    from quantbench.quantize.ranges import Range

Answers = list[dict[str, "NDArray[np.float32]"]]
_GAP_DB = 3.0  # between the noise of convicted ops and the next
_MOST = 12  # ops that are convicted at most
_HARMLESS_DB = 30.0  # of noise that no detection feels
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
    told: Callable[[int], None] | None = None,
) -> dict[str, dict[str, float]]:
    """Of each op that can be quantized, the outputs' signal to noise with it alone in int8.

    Args:
        graph: repaired.
        ranges: of its tensors.
        outputs: of the float graph.
        told: is called with 1 after each op.
    """
    found = {}
    for op in graph.ops:
        with suppress(BuildError):  # the tool has no integer form of it
            others = [other.name for other in graph.ops if other != op]
            found[op.name] = outputs.snr_db(quantized(graph, ranges, others))
        if told:
            told(1)
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


def convicted(alone: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Ops that stand out by their noise, worst first: the clearest gap among the first twelve.

    Each op counts by the output that it hurts most. Where no gap of 3 dB sets some apart, none is
    convicted.
    """
    worst = sorted((min(snr.values(), default=SILENT_DB), name) for name, snr in alone.items())
    gaps = [
        (after - before, i + 1)
        for i, ((before, _), (after, _)) in enumerate(itertools.pairwise(worst))
        if i < _MOST and before < _HARMLESS_DB
    ]
    if not gaps or max(gaps)[0] < _GAP_DB:
        return []
    return [name for _, name in worst[: max(gaps)[1]]]
