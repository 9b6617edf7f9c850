"""One tensor rounded alone: what its 8 bits cost while everything else stays in float.

An op in float between int8 ones reads and hands over rounded tensors all the same. What ops in
float save is the rounding of the tensors between them, so tensors are measured here, not ops.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from quantbench.backends.litert.diagnosis.alone import tail
from quantbench.backends.litert.mending.ranges import grid
from quantbench.backends.litert.mending.recipes import widened

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from quantbench.backends.litert.graph import Graph
    from quantbench.backends.litert.mending.ranges import Range

_NOISY = 40  # tensors that ops are chosen for
_PROMISING = 8  # regions that are worth measuring


def rounded_alone(graph: Graph, tensor: int, within: Range) -> bytes:
    """The float graph with one tensor that an op writes rounded to int8 of this range."""
    step, zero = grid(widened(within))
    changed = graph.copy()
    changed.insert_rounding(tensor, step, zero - 128)
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
    # Writer and readers of what is still rounded.
    around = {tensor: ops for tensor in cost if not (ops := _around(graph, tensor)) <= kept}
    found: dict[frozenset[str], float] = {}
    for ops in _noisy(graph, cost, around):
        added = frozenset(ops - kept)
        if len(added) <= most:
            found[added] = sum(cost[t] for t, each in around.items() if each <= kept | added)
    best = sorted(found, key=lambda added: (-found[added] / len(added), sorted(added)))
    chosen = [
        dict.fromkeys(sorted(added), f"{found[added] / whole:.1%} of the rounding noise")
        for added in best[:_PROMISING]
    ]
    end = {op.name: "output tail" for op in tail(graph) if op.name not in kept}
    return [*chosen, end] if 0 < len(end) <= most else chosen


def _noisy(
    graph: Graph, cost: Mapping[int, float], around: Mapping[int, set[str]]
) -> Iterator[set[str]]:
    """The ops around each noisy tensor, and around each two that meet at an op."""
    noisy = sorted(cost, key=lambda tensor: (-cost[tensor], tensor))[:_NOISY]
    chosen = [tensor for tensor in noisy if tensor in around and tensor not in graph.outputs]
    yield from (around[tensor] for tensor in chosen)
    for one, other in itertools.combinations(chosen, 2):
        if around[one] & around[other]:
            yield around[one] | around[other]


def _around(graph: Graph, tensor: int) -> set[str]:
    writer = graph.writer(tensor)
    return {op.name for op in graph.readers(tensor)} | ({writer.name} if writer else set())
