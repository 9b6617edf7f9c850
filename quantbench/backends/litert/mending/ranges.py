"""Ranges of a LiteRT graph's tensors (`quantbench/diagnosis/ranges.py` has the rules)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantbench.backends.litert.graph import Graph
from quantbench.backends.litert.mending.hard_swish import shut_below
from quantbench.backends.litert.trace import Tracer
from quantbench.diagnosis import ranges

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from quantbench.diagnosis.ranges import Range, Seen

# Below these no op that reads a tensor tells one value from another.
_VISIBLE_FROM = {"HARD_SWISH": -3.0, "RELU": 0.0, "RELU6": 0.0, "LOGISTIC": -12.0}


def observe(
    path: Path, samples: Sequence[NDArray[np.float32]], advance: Callable[[int], None] | None = None
) -> dict[str, Seen]:
    """Run a float model on every sample, twice: for the ends, then for the counts between them.

    Args:
        path: of a float `.tflite`.
        samples: prepared for it.
        advance: is called with 1 after each run.

    Returns:
        Every float tensor that an op writes, and the input, by name.
    """
    graph = Graph.read(path)
    seen = ranges.observe(Tracer(path, graph), samples, advance)
    return {graph.name(tensor): each for tensor, each in seen.items()}


def visible(graph: Graph, name_to_range: Mapping[str, Range]) -> dict[str, Range]:
    """The ranges without what no reader of a tensor can see, such as hard-swish below -3."""
    found = ranges.visible(graph, name_to_range, _VISIBLE_FROM)
    for tensor, below in shut_below(graph).items():
        if (name := graph.name(tensor)) in found:
            low, high = found[name]
            found[name] = max(low, below), high
    return found
