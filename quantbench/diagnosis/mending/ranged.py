"""Settings that are the ranges of all tensors, by rule and tensor by tensor."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Generic

from quantbench.diagnosis.ranges import RULES, Range
from quantbench.diagnosis.wiring import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from collections.abc import Set as AbstractSet

    from quantbench.diagnosis.ranges import Seen
    from quantbench.diagnosis.wiring import Wiring

Ranges = Mapping[str, Range]  # of all tensors, by name
# The mildest rule that clips. Where none passes, the ranking of rules is that of the few worst
# tensors: it says nothing about the others, which start here.
START = "99.99 %"
_SAME = 0.03  # of a range's width: what makes no other range


class Ranged(Generic[Tensor]):
    """What `Mendable` says of settings, where these are ranges."""

    def __init__(
        self,
        wiring: Wiring[Tensor],
        seen: Mapping[str, Seen],
        extremes: AbstractSet[str],
        visible: Callable[[Ranges], Ranges],
    ) -> None:
        """Choose nothing yet.

        Args:
            wiring: of the float graph.
            seen: on samples, by tensor's name.
            extremes: names of tensors that keep minimum and maximum.
            visible: takes from ranges what no reader of a tensor can see.
        """
        self._wiring, self._seen = wiring, seen
        self._extremes, self._visible = extremes & set(seen), visible

    @cached_property
    def settings(self) -> dict[str, Ranges]:
        """The ranges of all tensors under each rule."""
        kept = {name: self._seen[name].whole for name in self._extremes}
        return {
            rule: {
                **self._visible({name: chosen(seen) for name, seen in self._seen.items()}),
                **kept,
            }
            for rule, chosen in RULES.items()
        }

    @cached_property
    def tensors(self) -> list[Tensor]:
        """Those that ops write and that have a range."""
        written = {self._wiring.name(t): t for op in self._wiring.ops for t in op.outputs}
        return [tensor for name, tensor in written.items() if name in self._seen]

    def alternatives(self, ranges: Ranges, tensor: Tensor) -> list[Ranges]:
        """The other rules' ranges of one tensor, where it need not keep its extremes."""
        name = self._wiring.name(tensor)
        if name in self._extremes:
            return []
        by_rule = [each[name] for each in self.settings.values()]
        return [{**ranges, name: other} for other in _different([ranges[name], *by_rule])[1:]]


def _different(ranges: Sequence[Range]) -> list[Range]:
    """Without those that are nearly an earlier one."""
    found: list[Range] = []
    for low, high in ranges:
        if all(abs(low - a) + abs(high - b) > _SAME * (b - a) for a, b in found):
            found.append((low, high))
    return found
