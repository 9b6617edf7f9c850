"""A float `.tflite`, repaired and observed, that the search mends.

repair -> observe -> searched (`quantbench/diagnosis/mending/search.py`)
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.backends.litert.graph import CARRIES, WEIGHTED, Graph
from quantbench.backends.litert.mending.equalise import exponents
from quantbench.backends.litert.mending.hard_swish import gates
from quantbench.backends.litert.mending.ranges import observe, visible
from quantbench.backends.litert.mending.recipes import (
    Recipe,
    build_int8,
    float_ops_of,
    repair_graph,
    widened,
)
from quantbench.backends.litert.mending.repairs import infinite_pads
from quantbench.diagnosis.mending.ranged import START, Ranged
from quantbench.diagnosis.mending.search import BY_RULE
from quantbench.diagnosis.ranges import grid
from quantbench.diagnosis.wiring import tail

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from quantbench.backends.litert.mending.equalise import Exponents
    from quantbench.backends.litert.mending.repairs import Repair
    from quantbench.core.progress import Step
    from quantbench.diagnosis.mending.candidates import Found
    from quantbench.diagnosis.mending.ranged import Ranges
    from quantbench.diagnosis.ranges import Range, Seen
    from quantbench.diagnosis.wiring import WiredOp


class Repaired(Ranged[int]):
    """What the search asks of LiteRT (`Mendable`): a setting is the ranges of all tensors."""

    start = START
    carries = CARRIES

    def __init__(self, content: bytes, samples: Sequence[NDArray[Any]], step: Step) -> None:
        """Repair and observe.

        Args:
            content: of the float `.tflite`.
            samples: prepared, that ranges are taken from.
            step: is told what is done next and of how many parts.
        """
        self._content, self._step = content, step
        self.float_bytes = len(content)
        graph = Graph(content)
        self._pads = infinite_pads(graph)
        # Infinity would be the least value of all that comes after it.
        padded = self._ends(graph, samples) if self._pads else {}
        self._exponents: Exponents = {}
        graph, _ = self._repair(padded)
        self._exponents = exponents(graph, samples, step("sizes of channels", len(samples)))
        self.wiring, _ = self._repair(padded)
        seen = self._observed(self.wiring, samples)
        super().__init__(self.wiring, seen, self._keep_extremes(), partial(visible, self.wiring))
        self._last: tuple[Ranges, Graph] | None = None

    def _observed(self, graph: Graph, samples: Sequence[NDArray[Any]]) -> dict[str, Seen]:
        """On the repaired graph: its tensors are those that are quantized."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "repaired.tflite"
            path.write_bytes(graph.content())
            return observe(path, samples, self._step("observing ranges", 2 * len(samples)))

    def _repair(self, ranges: Ranges) -> tuple[Graph, list[Repair]]:
        return repair_graph(self._content, ranges, self._exponents)

    def _ends(self, graph: Graph, samples: Sequence[NDArray[Any]]) -> dict[str, Range]:
        """What is padded with infinity."""
        seen = self._observed(graph, samples)
        return {name: seen[name].whole for name in (graph.name(op.inputs[0]) for op in self._pads)}

    def _keep_extremes(self) -> set[str]:
        """Tensors that keep minimum and maximum.

        The output tail's extremes are what is detected; the least value of what is padded is what
        it is padded with; a gate that does not open wholly shrinks what goes through.
        """
        tensors = [tensor for op in tail(self.wiring, CARRIES) for tensor in op.outputs]
        tensors += [gate.outputs[0] for gate, _ in gates(self.wiring)]
        tensors += [op.inputs[0] for op in self._pads]
        return set(map(self.wiring.name, tensors))

    def build(self, ranges: Ranges, kept: Mapping[str, str]) -> bytes:
        """An int8 `.tflite` (`build_int8`)."""
        # The repairs depend on ranges alone, and many sets of ops are tried in the same.
        if self._last is None or self._last[0] is not ranges:
            self._last = ranges, self._repair(ranges)[0]
        return build_int8(self._last[1], ranges, kept)

    def rounded_alone(self, ranges: Ranges, tensor: int) -> bytes:
        """The float graph with one tensor in int8 of its range."""
        return rounded_alone(self._at_start, tensor, ranges[self.wiring.name(tensor)])

    @cached_property
    def _at_start(self) -> Graph:
        return self._repair(self.settings[self.start])[0]

    def extra_bytes(self, op: WiredOp[int]) -> int:
        """What an op's weights take more in float32 than in int8."""
        if op.kind not in WEIGHTED:
            return 0
        return 3 * int(np.prod(self.wiring.shape(op.inputs[1])))

    def recipe(self, found: Found[Ranges]) -> Recipe:
        """With the repairs for its ranges."""
        if found.by == BY_RULE and self._pads:
            found = replace(found, by="the scan alone")
        chosen = found.chosen
        _, repairs = self._repair(chosen.setting)
        left = set(float_ops_of(Graph(chosen.content))) - set(chosen.kept)
        return Recipe(
            ranges=chosen.setting,
            float_ops=chosen.kept,
            repairs=tuple(repairs),
            float_sha256=hashlib.sha256(self._content).hexdigest(),
            exponents=self._exponents,
            notes={
                **found.as_notes(),
                "ops": len(self.wiring.ops),
                "no_integer_form": len(left),
            },
        )


def rounded_alone(graph: Graph, tensor: int, within: Range) -> bytes:
    """The float graph with one tensor that an op writes rounded to int8 of this range."""
    step, zero = grid(widened(within))
    changed = graph.copy()
    changed.insert_rounding(tensor, step, zero - 128)
    return changed.content()
