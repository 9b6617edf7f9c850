"""Which sets to try, where trying all would take too long."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Names = dict[str, str]  # ops, and why


def floating_selection(
    larger: Callable[[Names], Sequence[Names]],
    smaller: Callable[[Names], Sequence[Names]],
    noise: Callable[[Names], float],
    advance: Callable[[int], None],
) -> list[Names]:
    """The quietest set of names that is found of each size, the empty one first.

    Floating forward selection (Pudil, Novovičová and Kittler, "Floating search methods in feature
    selection", 1994): the names that save most for each of them are added, whether they save
    anything or not, for some save only together; then names are given back while that leaves a
    quieter set than any of its size, or costs nothing. It ends where nothing can be added; it need
    not find the best.

    Args:
        larger: sets that a set may become.
        smaller: sets that are left when something is given back.
        noise: of a set; asked once for each.
        advance: is called with how many names the largest set has gained.
    """
    known: dict[frozenset[str], float] = {}

    def cost(names: Names) -> float:
        key = frozenset(names)
        if key not in known:
            known[key] = noise(names)
        return known[key]

    kept: Names = {}
    quietest = {0: kept}
    while more := larger(kept):
        before, n = cost(kept), len(kept)
        kept = min(more, key=lambda names: (cost(names) - before) / (len(names) - n))
        advance(max(0, len(kept) - max(quietest)))
        while True:
            if len(kept) not in quietest or cost(kept) < cost(quietest[len(kept)]):
                quietest[len(kept)] = kept
            less = min(smaller(kept), key=cost, default=kept)
            rival = quietest.get(len(less))
            worth = cost(less) <= cost(kept) if rival is None else cost(less) < cost(rival)
            if not worth:
                break
            kept = less
    return [quietest[size] for size in sorted(quietest)]
