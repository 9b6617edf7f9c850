"""Mending: the smallest set of ops left in float with which an int8 detector passes its gate.

    repair -> observe -> rules -> one tensor alone -> ops in float, more and fewer -> judged

Nothing that the case is evaluated on is looked at here: samples and judge are the calibration
split's.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from quantbench.backends.litert.diagnosis.alone import tail
from quantbench.backends.litert.graph import WEIGHTED, Graph
from quantbench.backends.litert.mending.equalise import exponents
from quantbench.backends.litert.mending.hard_swish import gates
from quantbench.backends.litert.mending.ranges import RULES, observe, visible
from quantbench.backends.litert.mending.recipes import (
    Recipe,
    build_int8,
    float_ops_of,
    repair_graph,
)
from quantbench.backends.litert.mending.repairs import infinite_pads
from quantbench.backends.litert.mending.rounding import regions, rounded_alone
from quantbench.core.digests import sha256_of
from quantbench.diagnosis.selection import floating_selection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from quantbench.backends.litert.graph import Op
    from quantbench.backends.litert.mending.equalise import Exponents
    from quantbench.backends.litert.mending.ranges import Range, Seen
    from quantbench.backends.litert.mending.repairs import Repair
    from quantbench.core.progress import Step

OBSERVED = 64  # samples that ranges are taken from
CHOOSING = 24  # others, that show what a rounding costs: of those observed little is clipped
_ALONE = 16  # of them, for one tensor
_RANKED = 48  # samples that candidates are ranked on
_FINALISTS = 3
# The mildest rule that clips. Where none passes, the ranking of rules is that of the few worst
# tensors: it says nothing about the others, which start here.
_START = "99.99 %"
_COUNTS = 0.95  # share of the noise whose tensors get a range of their own
_SAME = 0.03  # of a range's width: what makes no other range
_MOST_FLOAT = 12  # ops that are left in float at most
# A recipe that is chosen for its result looks better than it is (the winner's curse).
_TO_SPARE = 1 / 3  # of the margin
_AS_GOOD = 0.01  # of agreement: two standard errors of a difference on 121 COCO pictures
_EXTRA, _LITTLE = 0.03, 16_384  # what ops in float may add: a share of the float file, or bytes


class Loss(NamedTuple):
    """What a candidate lost.

    Attributes:
        difference: to the float model in the gate's metric.
        low: the lower bound of it.
        agreement: with the float model's detections.
    """

    difference: float
    low: float
    agreement: float


class Judge(Protocol):
    """Says how good a candidate is, by the calibration split's samples."""

    def agreement(self, content: bytes, samples: int) -> float:
        """With the float model's detections, in [0, 1], on the first so many samples."""

    def loss(self, content: bytes) -> Loss:
        """On all samples that judge."""

    def moved(self, content: bytes, samples: int) -> tuple[float, float]:
        """Mean squares of how far scores and boxes moved, on samples that judge nothing else."""


@dataclass(frozen=True)
class Candidate:
    """One recipe that was tried.

    Attributes:
        kept: names of the ops left in float, and why.
        ranges: of all tensors.
        content: the built `.tflite`.
        agreement: on the samples that candidates are ranked on, of a finalist on all.
        rule: of its ranges.
        difference: to the float model; None where it was no finalist.
        low: the lower bound of it.
    """

    kept: Mapping[str, str]
    ranges: Mapping[str, Range]
    content: bytes
    agreement: float
    rule: str
    difference: float | None = None
    low: float | None = None

    def as_notes(self) -> dict[str, Any]:
        """For the recipe's notes."""
        return {
            "float_ops": len(self.kept),
            "rule": self.rule,
            "bytes": len(self.content),
            "agreement": round(self.agreement, 4),
            "difference": None if self.difference is None else round(self.difference, 4),
            "low": None if self.low is None else round(self.low, 4),
        }


def search(
    path: Path,
    samples: Sequence[NDArray[Any]],
    judge: Judge,
    margin: float,
    step: Step,
) -> Recipe:
    """Find a recipe whose loss is certainly less than the margin, with the fewest ops in float.

    Args:
        path: of the float `.tflite`.
        samples: prepared inputs of the calibration split.
        judge: of candidates.
        margin: the loss that is still acceptable, in the judge's metric.
        step: is told what is done next and of how many parts; what it returns is called with 1
            after each.

    Returns:
        The recipe; its notes say what was tried, and whether it passed. One that did not is what
        came closest.
    """
    return _Search(path, samples, judge, margin, step).run()


class _Search:
    def __init__(
        self,
        path: Path,
        samples: Sequence[NDArray[Any]],
        judge: Judge,
        margin: float,
        step: Step,
    ) -> None:
        self._content = path.read_bytes()
        self._path, self._judge, self._margin, self._step = path, judge, margin, step
        seen = samples[:OBSERVED]
        graph = Graph(self._content)
        self._pads = infinite_pads(graph)
        # Infinity would be the least value of all that comes after it.
        padded = self._ends(graph, seen) if self._pads else {}
        self._exponents: Exponents = {}
        graph, _ = self._prepared(padded)
        self._exponents = exponents(graph, seen, self._step("sizes of channels", len(seen)))
        self._graph, _ = self._prepared(padded)
        self._seen = self._observed(self._graph, seen)
        self._tried: list[Candidate] = []

    def _observed(self, graph: Graph, samples: Sequence[NDArray[Any]]) -> dict[str, Seen]:
        """On the repaired graph: its tensors are those that are quantized."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "repaired.tflite"
            path.write_bytes(graph.content())
            return observe(path, samples, self._step("observing ranges", 2 * len(samples)))

    def _prepared(self, ranges: Mapping[str, Range]) -> tuple[Graph, list[Repair]]:
        return repair_graph(self._content, ranges, self._exponents)

    def _ends(self, graph: Graph, samples: Sequence[NDArray[Any]]) -> dict[str, Range]:
        """What is padded with infinity."""
        seen = self._observed(graph, samples)
        return {name: seen[name].whole for name in (graph.name(op.inputs[0]) for op in self._pads)}

    def run(self) -> Recipe:
        """All steps."""
        ranked = self._rule_by_rule()
        plain = [self._judged(each) for each in ranked[:_FINALISTS]]
        if passing := [each for each in plain if self._passes(each)]:
            chosen = max(passing, key=_low)
            return self._recipe(chosen, "the scan alone" if self._pads else "its ranges alone")
        ranges = self._ranges(_START)
        graph, _ = self._prepared(ranges)
        ranges, cost = self._tensor_by_tensor(graph, ranges)
        judged = [self._judged(each) for each in self._candidates(ranges, cost)]
        return self._recipe(chosen_of([*plain, *judged], self._margin), "one tensor alone")

    def _extremes(self) -> set[str]:
        """Tensors that keep minimum and maximum.

        The output tail's extremes are what is detected; the least value of what is padded is what
        it is padded with; a gate that does not open wholly shrinks what goes through.
        """
        tensors = [tensor for op in tail(self._graph) for tensor in op.outputs]
        tensors += [gate.outputs[0] for gate, _ in gates(self._graph)]
        tensors += [op.inputs[0] for op in self._pads]
        return set(map(self._graph.name, tensors)) & set(self._seen)

    def _ranges(self, rule: str) -> dict[str, Range]:
        chosen = {name: RULES[rule](seen) for name, seen in self._seen.items()}
        kept = {name: self._seen[name].whole for name in self._extremes()}
        return visible(self._graph, chosen) | kept

    def _rule_by_rule(self) -> list[Candidate]:
        """No op in float, under each rule, by agreement."""
        advance = self._step("rule by rule", len(RULES))
        found = []
        for rule in RULES:
            found.append(self._try(self._ranges(rule), {}, rule))
            advance(1)
        return sorted(found, key=lambda each: -each.agreement)

    def _try(
        self,
        ranges: Mapping[str, Range],
        kept: Mapping[str, str],
        rule: str = "tensor by tensor",
    ) -> Candidate:
        graph, _ = self._prepared(ranges)
        content = build_int8(graph, ranges, kept)
        agreement = self._judge.agreement(content, _RANKED)
        candidate = Candidate(kept, ranges, content, agreement, rule)
        self._tried.append(candidate)
        return candidate

    def _tensor_by_tensor(
        self, graph: Graph, ranges: Mapping[str, Range]
    ) -> tuple[dict[str, Range], dict[int, float]]:
        """For each tensor the rule under which its rounding moves detections least.

        Returns:
            The ranges, and what each tensor's rounding still costs; both errors count in shares of
            what all tensors cost in the ranges given.
        """
        written = {graph.name(tensor): tensor for op in graph.ops for tensor in op.outputs}
        numbers = {name: tensor for name, tensor in written.items() if name in ranges}
        advance = self._step("one tensor alone", len(numbers))
        errors = {}
        for name, tensor in numbers.items():
            errors[name] = self._alone(graph, tensor, ranges[name])
            advance(1)
        share = _in_shares_of(np.sum(list(errors.values()), axis=0))
        cost = {name: share(each) for name, each in errors.items()}
        chosen, by_rule = dict(ranges), [self._ranges(rule) for rule in RULES]
        extremes = self._extremes()
        costly = [name for name in _most_of(cost) if name not in extremes]
        advance = self._step("ranges tensor by tensor", len(costly))
        for name in costly:
            for other in _different([ranges[name], *(each[name] for each in by_rule)])[1:]:
                if (now := share(self._alone(graph, numbers[name], other))) < cost[name]:
                    chosen[name], cost[name] = other, now
            advance(1)
        return chosen, {numbers[name]: each for name, each in cost.items()}

    def _alone(self, graph: Graph, tensor: int, within: Range) -> NDArray[np.float64]:
        return np.array(self._judge.moved(rounded_alone(graph, tensor, within), _ALONE))

    def _candidates(
        self, ranges: Mapping[str, Range], cost: Mapping[int, float]
    ) -> list[Candidate]:
        """Without ops in float, and with more and more; the best by agreement."""
        found = [self._try(ranges, kept) for kept in self._grown(ranges, cost)]
        return sorted(found, key=lambda each: -each.agreement)[:_FINALISTS]

    def _grown(
        self, ranges: Mapping[str, Range], cost: Mapping[int, float]
    ) -> list[dict[str, str]]:
        """Sets of ops in float, of each size the quietest that is found."""
        graph, _ = self._prepared(ranges)

        def moved(kept: Mapping[str, str]) -> NDArray[np.float64]:
            return np.array(self._judge.moved(build_int8(graph, ranges, kept), CHOOSING))

        whole = moved({})
        share = _in_shares_of(whole)
        advance = self._step("ops in float", _MOST_FLOAT)
        sets = floating_selection(
            lambda kept: self._larger(graph, cost, kept),
            lambda kept: _smaller(graph, kept),
            lambda kept: share(moved(kept) if kept else whole),
            advance,
        )
        advance(_MOST_FLOAT - len(sets[-1]))
        return sets

    def _larger(
        self, graph: Graph, cost: Mapping[int, float], kept: dict[str, str]
    ) -> list[dict[str, str]]:
        """These ops and a region more, where neither number nor weights are too many."""
        more = [
            closed(graph, kept | region)
            for region in regions(graph, cost, kept.keys(), _MOST_FLOAT - len(kept))
        ]
        most = max(_EXTRA * len(self._content), _LITTLE)
        return [
            names
            for names in more
            if len(names) <= _MOST_FLOAT
            and sum(_extra_bytes(graph, op) for op in graph.ops if op.name in names) <= most
        ]

    def _judged(self, candidate: Candidate) -> Candidate:
        judged = replace(candidate, **self._judge.loss(candidate.content)._asdict())
        self._tried = [judged if each is candidate else each for each in self._tried]
        return judged

    def _passes(self, candidate: Candidate) -> bool:
        return candidate.low is not None and candidate.low > -self._margin

    def _recipe(self, chosen: Candidate, by: str) -> Recipe:
        _, repairs = self._prepared(chosen.ranges)
        left = set(float_ops_of(Graph(chosen.content))) - set(chosen.kept)
        return Recipe(
            ranges=chosen.ranges,
            float_ops=chosen.kept,
            repairs=tuple(repairs),
            float_sha256=sha256_of(self._path),
            exponents=self._exponents,
            notes={
                "passed": self._passes(chosen),
                "margin": self._margin,
                "found_by": by,
                **chosen.as_notes(),
                "tried": [each.as_notes() for each in self._tried],
                "ops": len(self._graph.ops),
                "no_integer_form": len(left),
            },
        )


def closed(graph: Graph, kept: Mapping[str, str]) -> dict[str, str]:
    """With the ops that lie between: one left in int8 among float ones would round all the same."""
    found = dict(kept)
    for op in graph.ops:
        if op.name in found:
            continue
        writers = [graph.writer(t) for t in op.inputs if not graph.is_constant(t)]
        readers = [reader for tensor in op.outputs for reader in graph.readers(tensor)]
        if (
            writers
            and readers
            and all(writer is None or writer.name in found for writer in writers)
            and all(reader.name in found for reader in readers)
        ):
            found[op.name] = "between ops in float"
    return found


def _smaller(graph: Graph, kept: Mapping[str, str]) -> list[dict[str, str]]:
    """These ops without one; not without one that lies between others."""
    fewer = [closed(graph, {n: why for n, why in kept.items() if n != name}) for name in kept]
    return [names for names in fewer if 0 < len(names) < len(kept)]


def chosen_of(judged: Sequence[Candidate], margin: float) -> Candidate:
    """The fewest ops in float among those that pass with room to spare, else the best.

    Where several pass, some hundred samples cannot tell their losses apart, but can their
    agreement with the float model: fewer ops are chosen only where it is as good.
    """
    safe = [each for each in judged if _low(each) > -(1 - _TO_SPARE) * margin]
    if not safe:
        return max(judged, key=_low)
    enough = max(each.agreement for each in safe) - _AS_GOOD
    good = [each for each in safe if each.agreement >= enough]
    return min(good, key=lambda each: (len(each.kept), -each.agreement))


def _in_shares_of(whole: NDArray[np.float64]) -> Callable[[NDArray[np.float64]], float]:
    """Errors of several kinds as one number: the sum of what each is of the whole of its kind."""
    most = np.maximum(whole, np.finfo(float).tiny)
    return lambda errors: float((errors / most).sum())


def _low(candidate: Candidate) -> float:
    return -np.inf if candidate.low is None else candidate.low


def _different(ranges: Sequence[Range]) -> list[Range]:
    """Without those that are nearly an earlier one."""
    found: list[Range] = []
    for low, high in ranges:
        if all(abs(low - a) + abs(high - b) > _SAME * (b - a) for a, b in found):
            found.append((low, high))
    return found


def _most_of(cost: Mapping[str, float]) -> list[str]:
    """The costliest, until they make up most of the whole."""
    names = sorted(cost, key=lambda name: (-cost[name], name))
    total = np.cumsum([cost[name] for name in names])
    return names[: 1 + int(np.searchsorted(total, _COUNTS * total[-1]))]


def _extra_bytes(graph: Graph, op: Op) -> int:
    """What an op weighs more in float than in int8."""
    if op.kind not in WEIGHTED:
        return 0
    return 3 * int(np.prod(graph.shape(op.inputs[1])))
