"""The search for speed: the fastest recipe that passes its gate.

    all that the search for few float ops tried, and more ops in float where integers are slower
    -> timed in turn -> judged, the fastest first

Time is measured, not estimated: what an op in float costs besides, conversions at its ends, depends
on its neighbours. Times of single ops only say which sets are worth timing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from quantbench.diagnosis.mending.candidates import Candidate, Found, Setting, chosen_of, is_safe
from quantbench.diagnosis.mending.search import RANKED, search
from quantbench.diagnosis.wiring import Tensor, closed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from quantbench.core.progress import Step
    from quantbench.diagnosis.mending.judge import Judge
    from quantbench.diagnosis.mending.mendable import Mendable

BY_TIME = "the time of candidates"
_JUDGED = 10  # candidates that are judged at most, beside those that the first search judged
_WORTH = 0.01  # share of a model's time that an op must lose in integers to go back to float
_SETS = (1, 2, 4, 8, 16)  # of those ops, the costliest, that are tried in float


class Clock(Protocol):
    """Times candidates."""

    def seconds(self, contents: Sequence[bytes]) -> list[float]:
        """Median of one inference of each, timed in turn."""

    def lost(self, content: bytes) -> Mapping[str, float]:
        """Of ops by name, the share of the model's time that each takes longer than in float."""


def search_fastest(
    mendable: Mendable[Setting, Tensor], judge: Judge, clock: Clock, margin: float, step: Step
) -> Found[Setting]:
    """Find the fastest recipe whose loss is certainly less than the margin.

    Args:
        mendable: the float model, which candidates are built from.
        judge: of candidates.
        clock: of candidates, on all threads that the model is to run on.
        margin: the loss that is still acceptable, in the judge's metric.
        step: is told what is done next and of how many parts.

    Returns:
        What was tried, what was chosen and how. One that did not pass is what came closest.
    """
    found = search(mendable, judge, margin, step)
    start = found.chosen
    advance = step("ops that are slower in integers", 1)
    slow = _slower_ops(clock.lost(start.content))
    advance(1)
    known = {each.content: each for each in found.tried}
    more = _with_float(mendable, start, slow)
    advance = step("candidates with these in float", len(more))
    for kept in more:
        content = mendable.build(start.setting, kept)
        agreement = judge.agreement(content, RANKED)
        known.setdefault(content, Candidate(kept, start.setting, content, agreement, start.rule))
        advance(1)
    known = {each.content: each for each in _timed(list(known.values()), clock, step)}
    advance, left = step("judging, the fastest first", _JUDGED), _JUDGED
    for candidate in list(known.values()):
        judged = candidate
        if judged.low is None and left:
            judged = replace(judged, **judge.loss(judged.content)._asdict())
            known[judged.content], left = judged, left - 1
            advance(1)
        if is_safe(judged, margin):
            return Found(judged, BY_TIME, margin, list(known.values()))
    tried = list(known.values())
    return Found(chosen_of(tried, margin), BY_TIME, margin, tried)


def _timed(
    candidates: Sequence[Candidate[Setting]], clock: Clock, step: Step
) -> list[Candidate[Setting]]:
    """With the seconds of each, the fastest first."""
    advance = step("timing candidates", 1)
    seconds = clock.seconds([each.content for each in candidates])
    advance(1)
    made = [replace(each, seconds=s) for each, s in zip(candidates, seconds, strict=True)]
    return sorted(made, key=lambda each: each.seconds or 0.0)


def _slower_ops(lost: Mapping[str, float]) -> list[str]:
    """Those that lose most by integers, worst first."""
    worth = [name for name, share in lost.items() if share >= _WORTH]
    return sorted(worth, key=lambda name: (-lost[name], name))


def _with_float(
    mendable: Mendable[Setting, Tensor], chosen: Candidate[Setting], slow: Sequence[str]
) -> list[dict[str, str]]:
    """The chosen set and the costliest of these ops; these alone, too."""
    ops = {op.name for op in mendable.wiring.ops}
    found: list[dict[str, str]] = []
    mine = [name for name in slow if name in ops]
    for n in _SETS:
        added = dict.fromkeys(mine[:n], "slower in integers")
        for kept in (added, {**chosen.kept, **added}):
            whole = closed(mendable.wiring, kept)
            if added and whole not in found and whole.keys() != chosen.kept.keys():
                found.append(whole)
    return found
