"""Which ops to leave in float next.

An op in float between int8 ones reads and hands over rounded tensors all the same. What ops in
float save is the rounding of the tensors between them, so tensors are measured, not ops.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from quantbench.diagnosis.wiring import Tensor, tail

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from quantbench.diagnosis.wiring import Wiring

_NOISY = 40  # tensors that ops are chosen for
_PROMISING = 8  # regions that are worth measuring


def regions(
    wiring: Wiring[Tensor],
    carries: AbstractSet[str],
    cost: Mapping[Tensor, float],
    kept: AbstractSet[str],
    most: int,
) -> list[dict[str, str]]:
    """Ops to be left in float next, the most promising first; names, and why.

    A tensor costs nothing any more once the op that writes it and all that read it are in float.

    Args:
        wiring: of the float graph.
        carries: kinds that the output tail reaches through (`wiring.tail`).
        cost: of each tensor's rounding, >= 0; costs add up.
        kept: ops that are in float already.
        most: ops that a region may add.

    Returns:
        Regions of one noisy tensor, or of two at one op, by cost saved for each op that is added;
        and the output tail, whose rounding undervalues what it does.
    """
    whole = sum(cost.values()) or 1.0
    # Writer and readers of what is still rounded.
    around = {tensor: ops for tensor in cost if not (ops := _around(wiring, tensor)) <= kept}
    found: dict[frozenset[str], float] = {}
    for ops in _noisy(wiring, cost, around):
        added = frozenset(ops - kept)
        if len(added) <= most:
            found[added] = sum(cost[t] for t, each in around.items() if each <= kept | added)
    best = sorted(found, key=lambda added: (-found[added] / len(added), sorted(added)))
    chosen = [
        dict.fromkeys(sorted(added), f"{found[added] / whole:.1%} of the rounding noise")
        for added in best[:_PROMISING]
    ]
    end = {op.name: "output tail" for op in tail(wiring, carries) if op.name not in kept}
    return [*chosen, end] if 0 < len(end) <= most else chosen


def _noisy(
    wiring: Wiring[Tensor], cost: Mapping[Tensor, float], around: Mapping[Tensor, set[str]]
) -> Iterator[set[str]]:
    """The ops around each noisy tensor, and around each two that meet at an op."""
    noisy = sorted(cost, key=lambda tensor: (-cost[tensor], tensor))[:_NOISY]
    chosen = [tensor for tensor in noisy if tensor in around and tensor not in wiring.outputs]
    yield from (around[tensor] for tensor in chosen)
    for one, other in itertools.combinations(chosen, 2):
        if around[one] & around[other]:
            yield around[one] | around[other]


def _around(wiring: Wiring[Tensor], tensor: Tensor) -> set[str]:
    writer = wiring.writer(tensor)
    return {op.name for op in wiring.readers(tensor)} | ({writer.name} if writer else set())
