"""One tensor rounded alone: what its 8 bits cost while everything else stays in float.

An op in float between int8 ones reads and hands over rounded tensors all the same. What ops in
float save is the rounding of the tensors between them, so tensors are measured here, not ops.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from quantbench.diagnosis.alone import tail

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from quantbench.graph import Graph
    from quantbench.quantize.ranges import Range

TAIL = "output tail"
_NOISY = 40  # tensors that ops are chosen for
_PROMISING = 8  # regions that are worth measuring


def rounded_alone(graph: Graph, tensor: int, within: Range) -> bytes:
    """The float graph with this one tensor rounded to int8, [-128, 127] spread over the range.

    Raises:
        BuildError: no op writes the tensor.
    """
    low, high = within
    scale = max(high - low, 1e-4) / 255
    changed = graph.copy()
    changed.insert_rounding(tensor, scale, int(np.clip(np.rint(-128 - low / scale), -128, 127)))
    return changed.content()


def regions(
    graph: Graph, cost: Mapping[int, float], kept: AbstractSet[str], most: int
) -> list[dict[str, str]]:
    """Ops to be left in float next, the most promising first; names, and why.

    A tensor costs nothing any more once the op that writes it and all that read it are in float.

    Args:
        graph: of float.
        cost: of each tensor's rounding, >= 0; costs add up.
        kept: ops that are in float already.
        most: ops that a region may add.

    Returns:
        Regions of one noisy tensor, or of two at one op, by cost saved for each op that is added;
        and the output tail, whose rounding undervalues what it does (`alone.tail`).
    """
    whole = sum(cost.values()) or 1.0
    found: dict[frozenset[str], float] = {}
    for around in _around(graph, cost):
        added = frozenset(around - kept)
        if 0 < len(added) <= most:
            saved = _saved(graph, cost, kept | added) - _saved(graph, cost, kept)
            found[added] = saved
    best = sorted(found, key=lambda added: (-found[added] / len(added), sorted(added)))
    chosen = [
        dict.fromkeys(sorted(added), f"{found[added] / whole:.1%} of the rounding noise")
        for added in best[:_PROMISING]
    ]
    end = {op.name: TAIL for op in tail(graph) if op.name not in kept}
    return [*chosen, end] if 0 < len(end) <= most else chosen


def _around(graph: Graph, cost: Mapping[int, float]) -> Iterator[set[str]]:
    """Writer and readers of each noisy tensor, and of each two that meet at an op."""
    noisy = sorted(cost, key=lambda tensor: (-cost[tensor], tensor))[:_NOISY]
    ends = {tensor: _ends(graph, tensor) for tensor in noisy if tensor not in graph.outputs}
    for tensor, ops in ends.items():
        yield ops
        for other, others in ends.items():
            if other < tensor and ops & others:
                yield ops | others


def _ends(graph: Graph, tensor: int) -> set[str]:
    writer = graph.writer(tensor)
    return {op.name for op in graph.readers(tensor)} | ({writer.name} if writer else set())


def _saved(graph: Graph, cost: Mapping[int, float], kept: AbstractSet[str]) -> float:
    return sum(value for tensor, value in cost.items() if _ends(graph, tensor) <= kept)
