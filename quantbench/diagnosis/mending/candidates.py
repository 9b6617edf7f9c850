"""What a search tried, and which of it is chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Setting = TypeVar("Setting")

# A recipe that is chosen for its result looks better than it is (the winner's curse).
_TO_SPARE = 1 / 3  # of the margin
_AS_GOOD = 0.01  # of agreement: two standard errors of a difference on 121 COCO pictures


@dataclass(frozen=True)
class Candidate(Generic[Setting]):
    """One recipe that was tried.

    Attributes:
        kept: names of the ops left in float, and why.
        setting: how the others are quantized, in the backend's own form.
        content: the built model.
        agreement: on the samples that candidates are ranked on, of a finalist on all.
        rule: of its setting.
        difference: to the float model; None where it was no finalist.
        low: the lower bound of it.
        seconds: of one inference; None where it was not timed.
    """

    kept: Mapping[str, str]
    setting: Setting
    content: bytes
    agreement: float
    rule: str
    difference: float | None = None
    low: float | None = None
    seconds: float | None = None

    @property
    def least(self) -> float:
        """The lower bound, -inf where it was no finalist."""
        return -np.inf if self.low is None else self.low

    def as_notes(self) -> dict[str, Any]:
        """For the recipe's notes."""
        return {
            "float_ops": len(self.kept),
            "rule": self.rule,
            "bytes": len(self.content),
            "agreement": round(self.agreement, 4),
            "difference": None if self.difference is None else round(self.difference, 4),
            "low": None if self.low is None else round(self.low, 4),
            **({} if self.seconds is None else {"ms": round(1e3 * self.seconds, 3)}),
        }


@dataclass(frozen=True)
class Found(Generic[Setting]):
    """What a search ends with.

    Attributes:
        chosen: the recipe; one that did not pass is what came closest.
        by: how it was found, for people.
        margin: the loss that was still acceptable.
        tried: all candidates.
    """

    chosen: Candidate[Setting]
    by: str
    margin: float
    tried: Sequence[Candidate[Setting]]

    def as_notes(self) -> dict[str, Any]:
        """For the recipe's notes; a backend adds its own."""
        return {
            "passed": self.chosen.least > -self.margin,
            "margin": self.margin,
            "found_by": self.by,
            **self.chosen.as_notes(),
            "tried": [each.as_notes() for each in self.tried],
        }


def is_safe(candidate: Candidate[Setting], margin: float) -> bool:
    """Whether it passes with a third of the margin to spare."""
    return candidate.least > -(1 - _TO_SPARE) * margin


def chosen_of(judged: Sequence[Candidate[Setting]], margin: float) -> Candidate[Setting]:
    """The fewest ops in float among those that pass with room to spare, else the best.

    Where several pass, some hundred samples cannot tell their losses apart, but can their
    agreement with the float model: fewer ops are chosen only where it is as good.
    """
    safe = [each for each in judged if is_safe(each, margin)]
    if not safe:
        return max(judged, key=lambda each: each.least)
    enough = max(each.agreement for each in safe) - _AS_GOOD
    good = [each for each in safe if each.agreement >= enough]
    return min(good, key=lambda each: (len(each.kept), -each.agreement))
