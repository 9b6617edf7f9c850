"""The search: the smallest set of ops left in float with which a quantized model passes its gate.

    rules -> one tensor alone -> ops in float, more and fewer -> judged

Nothing that the case is evaluated on is looked at here: samples and judge are the calibration
split's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Generic

import numpy as np

from quantbench.diagnosis.mending.candidates import Candidate, Found, Setting, chosen_of
from quantbench.diagnosis.regions import regions
from quantbench.diagnosis.selection import floating_selection
from quantbench.diagnosis.wiring import Tensor, closed, smaller

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from quantbench.core.progress import Step
    from quantbench.diagnosis.mending.judge import Judge
    from quantbench.diagnosis.mending.mendable import Mendable

    Names = dict[str, str]  # ops, and why

CHOOSING = 24  # samples that show what a rounding costs: of those observed little is clipped
BY_RULE = "its ranges alone"
BY_TENSOR = "one tensor alone"
_ALONE = 16  # of those that choose, for one tensor
RANKED = 48  # samples that candidates are ranked on
_FINALISTS = 3
_COUNTS = 0.95  # share of the noise whose tensors get a setting of their own
_MOST_FLOAT = 12  # ops that are left in float at most
_EXTRA, _LITTLE = 0.03, 16_384  # what ops in float may add: a share of the float file, or bytes


def search(
    mendable: Mendable[Setting, Tensor], judge: Judge, margin: float, step: Step
) -> Found[Setting]:
    """Find a recipe whose loss is certainly less than the margin, with the fewest ops in float.

    Args:
        mendable: the float model, which candidates are built from.
        judge: of candidates.
        margin: the loss that is still acceptable, in the judge's metric.
        step: is told what is done next and of how many parts; what it returns is called with 1
            after each.

    Returns:
        What was tried, what was chosen and how. One that did not pass is what came closest.
    """
    return _Search(mendable, judge, margin, step).run()


class _Search(Generic[Setting, Tensor]):
    def __init__(
        self, mendable: Mendable[Setting, Tensor], judge: Judge, margin: float, step: Step
    ) -> None:
        self._mendable, self._judge, self._margin, self._step = mendable, judge, margin, step
        self._wiring = mendable.wiring
        self._tried: list[Candidate[Setting]] = []

    def run(self) -> Found[Setting]:
        """All steps."""
        ranked = self._rule_by_rule()
        plain = [self._judged(each) for each in ranked[:_FINALISTS]]
        if passing := [each for each in plain if each.least > -self._margin]:
            best = max(passing, key=lambda each: each.least)
            return Found(best, BY_RULE, self._margin, self._tried)
        setting, rule, cost = self._tensor_by_tensor()
        judged = [self._judged(each) for each in self._candidates(setting, rule, cost)]
        chosen = chosen_of([*plain, *judged], self._margin)
        return Found(chosen, BY_TENSOR, self._margin, self._tried)

    def _rule_by_rule(self) -> list[Candidate[Setting]]:
        """No op in float, under each rule, by agreement."""
        settings = self._mendable.settings
        advance = self._step("rule by rule", len(settings))
        found = []
        for rule, setting in settings.items():
            found.append(self._try(setting, rule, {}))
            advance(1)
        return sorted(found, key=lambda each: -each.agreement)

    def _try(self, setting: Setting, rule: str, kept: Mapping[str, str]) -> Candidate[Setting]:
        content = self._mendable.build(setting, kept)
        agreement = self._judge.agreement(content, RANKED)
        candidate = Candidate(kept, setting, content, agreement, rule)
        self._tried.append(candidate)
        return candidate

    def _judged(self, candidate: Candidate[Setting]) -> Candidate[Setting]:
        judged = replace(candidate, **self._judge.loss(candidate.content)._asdict())
        self._tried = [judged if each is candidate else each for each in self._tried]
        return judged

    def _tensor_by_tensor(self) -> tuple[Setting, str, dict[Tensor, float]]:
        """For each tensor the setting under which its rounding moves answers least.

        Returns:
            The setting, the name of its rule, and what each tensor's rounding still costs; both
            kinds of errors count in shares of what all tensors cost in the setting at first.
        """
        mendable, rule = self._mendable, self._mendable.start
        setting = mendable.settings[rule]
        advance = self._step("one tensor alone", len(mendable.tensors))
        errors = {}
        for tensor in mendable.tensors:
            errors[tensor] = self._alone(setting, tensor)
            advance(1)
        share = _in_shares_of(np.sum(list(errors.values()), axis=0))
        cost = {tensor: share(each) for tensor, each in errors.items()}
        costly = [t for t in self._most_of(cost) if mendable.alternatives(setting, t)]
        if not costly:
            return setting, rule, cost
        advance = self._step("ranges tensor by tensor", len(costly))
        for tensor in costly:
            best = setting
            for other in mendable.alternatives(setting, tensor):
                if (now := share(self._alone(other, tensor))) < cost[tensor]:
                    best, cost[tensor] = other, now
            setting = best
            advance(1)
        return setting, "tensor by tensor", cost

    def _alone(self, setting: Setting, tensor: Tensor) -> NDArray[np.float64]:
        return np.array(self._judge.moved(self._mendable.rounded_alone(setting, tensor), _ALONE))

    def _most_of(self, cost: Mapping[Tensor, float]) -> list[Tensor]:
        """The costliest, until they make up most of the whole."""
        if not cost:
            return []
        tensors = sorted(cost, key=lambda tensor: (-cost[tensor], self._wiring.name(tensor)))
        total = np.cumsum([cost[tensor] for tensor in tensors])
        return tensors[: 1 + int(np.searchsorted(total, _COUNTS * total[-1]))]

    def _candidates(
        self, setting: Setting, rule: str, cost: Mapping[Tensor, float]
    ) -> list[Candidate[Setting]]:
        """Without ops in float, and with more and more; the best by agreement."""
        found = [self._try(setting, rule, kept) for kept in self._grown(setting, cost)]
        return sorted(found, key=lambda each: -each.agreement)[:_FINALISTS]

    def _grown(self, setting: Setting, cost: Mapping[Tensor, float]) -> list[Names]:
        """Sets of ops in float, of each size the quietest that is found."""

        def moved(kept: Mapping[str, str]) -> NDArray[np.float64]:
            return np.array(self._judge.moved(self._mendable.build(setting, kept), CHOOSING))

        whole = moved({})
        share = _in_shares_of(whole)
        advance = self._step("ops in float", _MOST_FLOAT)
        sets = floating_selection(
            lambda kept: self._larger(cost, kept),
            lambda kept: smaller(self._wiring, kept),
            lambda kept: share(moved(kept) if kept else whole),
            advance,
        )
        advance(_MOST_FLOAT - len(sets[-1]))
        return sets

    def _larger(self, cost: Mapping[Tensor, float], kept: Names) -> list[Names]:
        """These ops and a region more, where neither number nor weights are too many."""
        wiring, room = self._wiring, _MOST_FLOAT - len(kept)
        more = [
            closed(wiring, kept | region)
            for region in regions(wiring, self._mendable.carries, cost, kept.keys(), room)
        ]
        most = max(_EXTRA * self._mendable.float_bytes, _LITTLE)
        return [names for names in more if len(names) <= _MOST_FLOAT and self._extra(names) <= most]

    def _extra(self, names: Names) -> int:
        return sum(self._mendable.extra_bytes(op) for op in self._wiring.ops if op.name in names)


def _in_shares_of(whole: NDArray[np.float64]) -> Callable[[NDArray[np.float64]], float]:
    """Errors of several kinds as one number: the sum of what each is of the whole of its kind."""
    most = np.maximum(whole, np.finfo(float).tiny)
    return lambda errors: float((errors / most).sum())
