"""Bits for each layer: the cheapest recipe with which a GPTQ checkpoint passes its gate.

    one layer alone -> bits where they save most -> simulated -> judged -> half of them -> judged

A uniform checkpoint is built of each width. A candidate is the float model with their unpacked
weights, a width for each layer: no build is waited for. (In a build, a layer is calibrated on what
the quantized layers before it answer; here, on what those of its own width answer.) Nothing that
the case is evaluated on is looked at: passages are the calibration split's.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from quantbench.backends.transformers.diagnosis.language import ALONE, Cost, each_alone
from quantbench.backends.transformers.diagnosis.layers import FloatModel, packed_weights
from quantbench.backends.transformers.mending.passages import PassageJudge
from quantbench.backends.transformers.quantizers.gptq import quantize_checkpoint
from quantbench.backends.transformers.quantizers.gptq_mixed import BitRecipe
from quantbench.core.progress import Steps
from quantbench.diagnosis.judge import check_searchable
from quantbench.measure.devices import float_type

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from quantbench.core.progress import Progress, Step
    from quantbench.data.prompts import Prompt
    from quantbench.protocols import Task
    from quantbench.study import Gate

    Weights = Mapping[str, Any]

WIDTHS = (4, 5, 6, 8)
BUDGET = 4.6  # bits of a weight's code on average, scales and embeddings apart
OPTIONS: Mapping[str, bool | float] = {  # gptqmodel's, that lost least at four bits of those tried
    "sym": False,
    "desc_act": True,
    "static_groups": True,
    "act_group_aware": False,
    "mse": 2.4,
}
CALIBRATING = 100  # passages
_GROUP = 64
_HALVINGS = 3  # of the budget above the lowest width, once all of it passes


class Judge(Protocol):
    """Says how good a candidate is, by the calibration split's passages."""

    def loss(self, weights: Weights) -> tuple[float, float, float]:
        """Difference to the float model, its lower bound at 95 %, that of log-probability."""


@dataclass(frozen=True)
class Candidate:
    """One allocation that was tried.

    Attributes:
        bits: of the layers that have more than the lowest width.
        average: bits of a weight's code.
        difference: to the float model in the gate's metric, higher being better.
        low: the lower bound of it at 95 %.
        logprob: mean difference in the log-probability of the last word, in nats.
    """

    bits: Mapping[str, int]
    average: float
    difference: float
    low: float
    logprob: float

    def as_notes(self) -> dict[str, float]:
        """For the recipe's notes."""
        return {
            "wider_layers": len(self.bits),
            "average_bits": round(self.average, 4),
            "difference": round(self.difference, 4),
            "low": round(self.low, 4),
            "logprob": round(self.logprob, 4),
        }


def mixed(
    float_model: Path,
    task: Task,
    samples: Sequence[Any],
    gate: Gate,
    progress: Progress,
    what: str,
) -> BitRecipe:
    """Search a recipe of bits.

    Args:
        float_model: the checkpoint's folder.
        task: last words.
        samples: of the calibration split; the first `CALIBRATING` calibrate, the others judge.
        gate: what the recipe is to pass.
        progress: told what is done.
        what: its words for it.

    Raises:
        UsageError: too few passages, or a gate that the search cannot judge by.
    """
    check_searchable(gate, len(samples), CALIBRATING, "passages")
    prepared = [task.prepare(sample) for sample in samples]
    with Steps(progress, what) as step:
        step("judging the float model", 1)
        model = FloatModel.load(float_model)
        # Judged in the type that evaluation runs in.
        fast = FloatModel.load(float_model, dtype=float_type(model.model.device.type))
        others = samples[CALIBRATING:], prepared[CALIBRATING:]
        judge = PassageJudge(fast, task, *others, gate.metric)
        weights = uniform(float_model, prepared[:CALIBRATING], step)
        narrow = weights[min(weights)]
        advance = step("one layer alone", len(narrow))
        cost = each_alone(model, narrow, prepared[:ALONE], advance)
        return allocated(cost, weights, judge, gate, step)


def uniform(float_model: Path, prompts: Sequence[Prompt], step: Step) -> dict[int, Weights]:
    """Unpacked weights of a checkpoint of each width."""
    advance = step("all layers at one width", len(WIDTHS))
    found: dict[int, Weights] = {}
    for bits in WIDTHS:
        with tempfile.TemporaryDirectory() as folder:
            config = {"bits": bits, "group_size": _GROUP, **OPTIONS}
            quantize_checkpoint(float_model, config, prompts, Path(folder))
            found[bits] = packed_weights(Path(folder))
        advance(1)
    return found


def allocated(
    cost: Mapping[str, Cost], weights: Mapping[int, Weights], judge: Judge, gate: Gate, step: Step
) -> BitRecipe:
    """The fewest bits that pass: the whole budget first, then halves of it as long as they do.

    Args:
        cost: of each layer, quantized alone at the lowest width.
        weights: of each width, unpacked.
        judge: of candidates.
        gate: what the recipe is to pass.
        step: told what is done.

    Returns:
        The recipe; its notes say what was tried, and whether it passed. One that did not is what
        came closest.
    """
    lowest = min(weights)
    sizes = {layer: int(weight.numel()) for layer, weight in weights[lowest].items()}
    advance = step("candidates", 2 + _HALVINGS)

    def tried(budget: float) -> Candidate:
        bits = under(budget, cost, sizes, tuple(weights))
        recipe = BitRecipe(bits, lowest)
        loss = judge.loss({layer: weights[recipe.of(layer)][layer] for layer in sizes})
        advance(1)
        return Candidate(bits, recipe.average(sizes), *loss)

    found = [tried(lowest), tried(BUDGET)]
    if _passes(found[1], gate):
        passed, failed = BUDGET, float(lowest)
        for _ in range(_HALVINGS):
            budget = (passed + failed) / 2
            found.append(tried(budget))
            passed, failed = (budget, failed) if _passes(found[-1], gate) else (passed, budget)
    return _recipe(found, cost, gate)


def under(
    budget: float,
    cost: Mapping[str, Cost],
    sizes: Mapping[str, int],
    widths: Sequence[int] = WIDTHS,
) -> dict[str, int]:
    """Layers that get more than the lowest width: bits go where each saves most, while they last.

    A bit more leaves a quarter of the noise's power (Widrow, 1956), and so of the divergence.

    Args:
        budget: bits of a weight on average.
        cost: of each layer, quantized alone at the lowest width.
        sizes: weights of each layer.
        widths: that a layer may have.
    """
    lowest = min(widths)
    bits = dict.fromkeys(sizes, lowest)
    left = (budget - lowest) * sum(sizes.values())

    def saved(layer: str, width: int) -> float:
        """Nats for each bit that is spent."""
        noise = 4.0 ** (lowest - bits[layer]) - 4.0 ** (lowest - width)
        return cost[layer].known * noise / ((width - bits[layer]) * sizes[layer])

    while True:
        steps = [
            (saved(layer, width), layer, width)
            for layer in sizes
            for width in widths
            if width > bits[layer] and (width - bits[layer]) * sizes[layer] <= left
        ]
        if not steps:
            return {layer: width for layer, width in bits.items() if width > lowest}
        _, layer, width = max(steps)
        left -= (width - bits[layer]) * sizes[layer]
        bits[layer] = width


def _passes(candidate: Candidate, gate: Gate) -> bool:
    return candidate.low > -gate.margin


def _recipe(found: Sequence[Candidate], cost: Mapping[str, Cost], gate: Gate) -> BitRecipe:
    passing = [each for each in found if _passes(each, gate)]
    chosen = (
        min(passing, key=lambda each: each.average)
        if passing
        else max(found, key=lambda each: (not math.isnan(each.low), each.low, each.logprob))
    )
    return BitRecipe(
        bits=chosen.bits,
        default=min(WIDTHS),
        options=OPTIONS,
        notes={
            "passed": bool(passing),
            "metric": gate.metric,
            "margin": gate.margin,
            "budget": BUDGET,
            "found_by": "one layer alone",
            **chosen.as_notes(),
            "tried": [each.as_notes() for each in found],
            "why": {
                layer: f"alone at {min(WIDTHS)} bits it moves next tokens by "
                f"{cost[layer].known:.5f} nats"
                for layer in chosen.bits
            },
        },
    )
