"""Mending: the smallest set of ops left in float with which an int8 detector passes its gate.

    repair -> observe -> ranges -> one op alone -> candidates -> judged

Nothing that the case is evaluated on is looked at here: samples and judge are the calibration
split's.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from quantbench.diagnosis.alone import Outputs, convicted, each_alone, one_alone, tail
from quantbench.digests import sha256_of
from quantbench.graph import WEIGHTED, Graph
from quantbench.quantize.ranges import RULES, observe, visible
from quantbench.quantize.recipes import Recipe, float_ops_of, prepared, quantized
from quantbench.quantize.repairs import (
    fuse_hard_swishes,
    infinite_pads,
    make_paddings_finite,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from quantbench.graph import Op
    from quantbench.progress import Step
    from quantbench.quantize.ranges import Range, Seen

OBSERVED = 64  # samples that ranges are taken from
_LOOKED_AT = 6  # samples that noise is measured on
_RANKED = 48  # samples that rules are ranked on
_FINALISTS = 3
_REFINED = 80  # ops whose range is chosen by what it costs the outputs
_NOISIEST = (3, 6, 9)  # ops that are tried in float, beside the output tail
_EXTRA, _LITTLE = 0.016, 16_384  # what ops in float may add: a share of the float file, or bytes


class Judge(Protocol):
    """Says how good a candidate is, by the calibration split's samples."""

    def agreement(self, content: bytes, samples: int | None = None) -> float:
        """With the float model's detections, in [0, 1], on the first so many samples."""

    def loss(self, content: bytes) -> tuple[float, float]:
        """Difference to the float model in the gate's metric, and its lower bound."""


@dataclass(frozen=True)
class Candidate:
    """One recipe that was tried.

    Attributes:
        kept: names of the ops left in float, and why.
        ranges: of all tensors.
        content: the built `.tflite`.
        agreement: on the samples that candidates are ranked on.
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

    def told(self) -> dict[str, Any]:
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
        self._few = samples[:_LOOKED_AT]
        seen = samples[:OBSERVED]
        graph = Graph(self._content)
        self._pads = infinite_pads(graph)
        if self._pads:  # they would be the least value of all that comes after them
            make_paddings_finite(graph, self._ends(graph, seen))
        fuse_hard_swishes(graph)
        self._graph = graph
        self._seen = self._observed(graph, seen)
        self._tried: list[Candidate] = []

    def _observed(self, graph: Graph, samples: Sequence[NDArray[Any]]) -> dict[str, Seen]:
        """On the fused graph: its tensors are those that are quantized."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "fused.tflite"
            path.write_bytes(graph.content())
            return observe(path, samples, self._step("observing ranges", 2 * len(samples)))

    def _ends(self, graph: Graph, samples: Sequence[NDArray[Any]]) -> dict[str, Range]:
        seen = self._observed(graph, samples)
        return {name: each.whole for name, each in seen.items()}

    def run(self) -> Recipe:
        """All steps."""
        ranked = self._rule_by_rule({})
        plain = [self._judged(each) for each in ranked[:_FINALISTS]]
        if passing := [each for each in plain if self._passes(each)]:
            chosen = max(passing, key=_low)
            return self._recipe(chosen, "the scan alone" if self._pads else "its ranges alone")
        ranges = ranked[0].ranges
        graph, _ = prepared(self._content, ranges)
        outputs = Outputs(graph.content(), self._few)
        alone = each_alone(graph, ranges, outputs, self._step("one op alone", len(graph.ops)))
        # The noise of those that are convicted hides what a rule does to the others.
        hidden = dict.fromkeys(convicted(alone), "") | {op.name: "" for op in tail(graph)}
        best = self._rule_by_rule(closed(graph, hidden))[0]
        ranges = self._refined(graph, best, alone, outputs)
        judged = [self._judged(each) for each in self._candidates(graph, ranges, alone)]
        passing = [each for each in judged if self._passes(each)]
        chosen = (
            min(passing, key=lambda each: (len(each.kept), -_low(each)))
            if passing
            else max([*plain, *judged], key=_low)
        )
        return self._recipe(chosen, "one op alone")

    def _kept_whole(self, ranges: dict[str, Range]) -> dict[str, Range]:
        """The output tail keeps minimum and maximum: its extremes are what is detected.

        So does what is padded: its least value is what it is padded with.
        """
        tensors = [tensor for op in tail(self._graph) for tensor in op.outputs]
        tensors += [op.inputs[0] for op in self._pads]
        for name in map(self._graph.name, tensors):
            if name in self._seen:
                ranges[name] = self._seen[name].whole
        return ranges

    def _ranges(self, rule: str) -> dict[str, Range]:
        chosen = {name: RULES[rule](seen) for name, seen in self._seen.items()}
        return self._kept_whole(visible(self._graph, chosen))

    def _rule_by_rule(self, kept: Mapping[str, str]) -> list[Candidate]:
        """These ops in float and all others in int8, under each rule, by agreement."""
        told = self._step("rule by rule", len(RULES))
        found = []
        for rule in RULES:
            found.append(self._try(self._ranges(rule), kept, rule=rule))
            told(1)
        return sorted(found, key=lambda each: -each.agreement)

    def _try(
        self,
        ranges: Mapping[str, Range],
        kept: Mapping[str, str],
        samples: int | None = _RANKED,
        rule: str = "op by op",
    ) -> Candidate:
        graph, _ = prepared(self._content, ranges)
        content = quantized(graph, ranges, kept)
        agreement = self._judge.agreement(content, samples)
        candidate = Candidate(kept, ranges, content, agreement, rule)
        self._tried.append(candidate)
        return candidate

    def _refined(
        self,
        graph: Graph,
        best: Candidate,
        alone: dict[str, dict[str, float]],
        outputs: Outputs,
    ) -> dict[str, Range]:
        """For the noisiest ops the rule that costs the outputs least, else the best one.

        `alone` holds what is left of their noise afterwards.
        """
        worst = _by_noise(alone)[:_REFINED]
        told = self._step("ranges of the noisiest ops", 2 * len(worst))
        others = [self._ranges(rule) for rule in RULES if rule != best.rule]
        kept = {graph.name(tensor) for op in tail(graph) for tensor in op.outputs}
        refined = dict(best.ranges)
        for name in worst:
            if name not in kept and name in refined:
                least = one_alone(graph, refined, outputs, name)
                for by_rule in others:
                    tried = {**refined, name: by_rule[name]}
                    noise = one_alone(graph, tried, outputs, name)
                    if min(noise.values()) > min(least.values()):
                        least, refined = noise, tried
            told(1)
        for name in worst:  # what an op reads has been chosen since
            alone[name] = one_alone(graph, refined, outputs, name)
            told(1)
        return refined

    def _candidates(
        self, graph: Graph, ranges: Mapping[str, Range], alone: Mapping[str, Mapping[str, float]]
    ) -> list[Candidate]:
        """Tail, convicted ops, both, and more and more of the noisiest ops with the tail."""
        at_the_end = {op.name: "output tail" for op in tail(graph)}
        noisiest = self._affordable(graph, _by_noise(alone), set(at_the_end))
        guilty = [name for name in convicted(alone) if name in noisiest]
        sets: list[dict[str, str]] = [{}, at_the_end]
        for names in (guilty, *(noisiest[:n] for n in _NOISIEST)):
            why = {name: f"alone {min(alone[name].values()):.0f} dB" for name in names}
            sets += [closed(graph, why)] if names is guilty else []
            sets += [closed(graph, why | at_the_end)]
        unique = {frozenset(kept): kept for kept in sets}
        told = self._step("candidates", len(unique))
        found = []
        for kept in unique.values():
            found.append(self._try(ranges, kept, samples=None))
            told(1)
        return sorted(found, key=lambda each: -each.agreement)[:_FINALISTS]

    def _affordable(self, graph: Graph, names: Sequence[str], taken: set[str]) -> list[str]:
        """Those whose float weights leave the model small enough, one after the other."""
        left = max(_EXTRA * len(self._content), _LITTLE)
        ops = {op.name: op for op in graph.ops}
        left -= sum(_extra_bytes(graph, ops[name]) for name in taken)
        found = []
        for name in names:
            cost = _extra_bytes(graph, ops[name])
            if name not in taken and cost <= left:
                found.append(name)
                left -= cost
        return found

    def _judged(self, candidate: Candidate) -> Candidate:
        difference, low = self._judge.loss(candidate.content)
        judged = replace(candidate, difference=difference, low=low)
        self._tried = [judged if each is candidate else each for each in self._tried]
        return judged

    def _passes(self, candidate: Candidate) -> bool:
        return candidate.low is not None and candidate.low > -self._margin

    def _recipe(self, chosen: Candidate, by: str) -> Recipe:
        _, repairs = prepared(self._content, chosen.ranges)
        left = set(float_ops_of(Graph(chosen.content))) - set(chosen.kept)
        return Recipe(
            ranges=chosen.ranges,
            float_ops=chosen.kept,
            repairs=tuple(repairs),
            float_sha256=sha256_of(self._path),
            notes={
                "passed": self._passes(chosen),
                "margin": self._margin,
                "found_by": by,
                **chosen.told(),
                "tried": [each.told() for each in self._tried],
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


def _low(candidate: Candidate) -> float:
    return -np.inf if candidate.low is None else candidate.low


def _by_noise(alone: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Noisiest first, each op by the output that it hurts most."""
    return sorted(alone, key=lambda name: (min(alone[name].values()), name))


def _extra_bytes(graph: Graph, op: Op) -> int:
    """What an op weighs more in float than in int8."""
    if op.kind not in WEIGHTED:
        return 0
    return 3 * int(np.prod(graph.shape(op.inputs[1])))
