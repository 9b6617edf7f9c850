"""The verdict on two sets of results: which estimator, which outcome."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from quantbench.errors import DataError, UsageError, meant
from quantbench.run.results import BYTES, ENERGY, LATENCY
from quantbench.stats.comparison import Comparison, Independent, Known
from quantbench.stats.gates import Verdict, outcome_of, samples_to_decide
from quantbench.stats.influences import PairedInfluence
from quantbench.stats.means import PairedMeans
from quantbench.stats.proportions import PairedProportions
from quantbench.stats.sequential import BettingDifference
from quantbench.stats.times import ENERGY_RATIO, TimeRatio
from quantbench.study import Gate

if TYPE_CHECKING:
    from quantbench.run.results import Accepted, Results
    from quantbench.stats.comparison import Estimate
    from quantbench.stats.gates import Against

_COSTS = frozenset({LATENCY, ENERGY, *BYTES})
_WORSE = ("pass", "inconclusive", "fail")


def non_inferior(
    evaluation: Results,
    reference: Results,
    metric: str,
    margin: float | str,
    confidence: float = 0.95,
) -> Verdict:
    """Is the evaluated case worse than its reference by less than `margin`?

    `pass` when the one-sided lower bound of the difference (quantized - reference) on the same
    samples is above -margin, `fail` when its upper bound is below it, else `inconclusive`; each
    bound has the stated confidence, assuming independent samples, or groups. True only on `pass`.
    Where lower is better (perplexity, latency, energy, bytes) the sign turns by itself.

    The estimator follows the metric, and stands in the verdict: right answers are paired
    proportions, other means over samples paired means, all else (AP, and any margin that is a
    share) is judged by how much each sample moves it (`stats/influences.py`), as is everything
    where samples come in groups. Times and joules are compared by ranks; bytes are known, and so
    is a model's difference from itself. Verdicts are kept for the record. Where a baseline was
    accepted, the case must not be worse than that either: the verdict returned is the worse of the
    two.

    In a test run every verdict decides its test, asserted or not (`Verdict.accepted` says when a
    test goes on past one that is no pass): to look at a metric without judging it, take
    `evaluation.estimate(metric)`.

    Args:
        evaluation: of the judged case, or of a file (`judge.results`).
        reference: of what it is judged against.
        metric: a name of the task's, or `latency`, `energy`, `weights_bytes`, `artifact_bytes`.
        margin: the largest loss that would still be shipped, in the metric's unit, or as a share
            of the reference's value, "5%". Of latency and energy it is a share.
        confidence: of each bound, in (.5, 1).

    Raises:
        UsageError: an unknown, undefined or unmeasured metric, a margin or confidence out of
            range, a reference that has no more than the margin to lose, or a reference given
            first.
        DataError: the two were not evaluated on the same samples.
    """
    lower = metric in evaluation.lower_is_better or _is_cost(metric, evaluation)
    gate = Gate.parse(metric, margin, confidence, lower_is_better=lower)
    _check_pair(evaluation, reference)
    _check_gate(evaluation, reference, gate)
    if evaluation.take_next_block is not None and evaluation is not reference:
        verdict = _judged_early(evaluation, reference, gate)
    else:
        verdict = _judged(evaluation, reference, gate, _compared(evaluation, reference, gate))
    tell = evaluation.on_verdict or _nobody
    tell(verdict)
    if evaluation.accepted is None or _is_cost(metric, evaluation):
        return verdict
    again = _judge_against_baseline(evaluation, evaluation.accepted, gate)
    tell(again)
    return max(verdict, again, key=lambda each: _WORSE.index(each.outcome))


def _nobody(verdict: Verdict) -> None:
    """Listens to verdicts on results that are of no run."""


def difference(
    evaluation: Results, reference: Results, metric: str, confidence: float = 0.9
) -> Estimate:
    """The paired difference with its two-sided interval, without a verdict.

    Raises:
        UsageError: no such metric.
        DataError: the two were not evaluated on the same samples.
    """
    _check_pair(evaluation, reference)
    lower = metric in evaluation.lower_is_better
    gate = Gate(metric, 1.0, lower_is_better=lower)  # its margin is not asked
    return _compared(evaluation, reference, gate).interval(confidence)


def compared_in_pairs(evaluation: Results, reference: Results, gate: Gate) -> Comparison | None:
    """The estimator that suits the gate's metric; None where the two do not pair or lack it."""
    ids = [[row["id"] for row in each.rows] for each in (evaluation, reference)]
    known = gate.metric in evaluation.replicates and gate.metric in reference.replicates
    return _compared(evaluation, reference, gate) if known and ids[0] == ids[1] else None


def _check_pair(evaluation: Results, reference: Results) -> None:
    """Pairs join by sample id; of sequential evaluations on what the judged one has seen."""
    if evaluation.is_reference and not reference.is_reference:
        raise UsageError(
            "the float model would be judged against the quantized one",
            where=f"non_inferior({evaluation.name}, {reference.name})",
            expected="the judged case first, its reference second",
            remedy=f"non_inferior({reference.name}, {evaluation.name})",
        )
    ids = [row["id"] for row in evaluation.rows]
    same = ids == [row["id"] for row in reference.rows][: len(ids)]
    whole = evaluation.take_next_block is not None or len(ids) == len(reference.rows)
    if evaluation.lower_is_better ^ reference.lower_is_better:
        turned = sorted(evaluation.lower_is_better ^ reference.lower_is_better)
        raise DataError(
            f"{evaluation.name} and {reference.name} do not agree on what is better",
            got=f"lower is better in one of them alone: {', '.join(turned)}",
        )
    data = [{k: v for k, v in e.dataset.items() if k != "n"} for e in (evaluation, reference)]
    if not same or not whole or data[0] != data[1]:
        raise DataError(
            f"{evaluation.name} and {reference.name} were not evaluated on the same samples",
            expected=f"{len(reference.rows)} samples, the reference's",
            got=f"{len(evaluation.rows)} samples of {evaluation.dataset['name']}",
        )


def _check_gate(evaluation: Results, reference: Results, gate: Gate) -> None:
    """Refuse a gate that cannot be asked, before any work is done for it."""
    shared = gate.metric in {LATENCY, ENERGY} and _is_cost(gate.metric, evaluation)
    if shared and not gate.relative:
        raise UsageError(
            f"a margin on {gate.metric} is a share of the reference's", remedy='e.g. margin="10%"'
        )
    values = evaluation.value(gate.metric), reference.value(gate.metric)
    if np.isnan(values).any():
        raise UsageError(
            f"{gate.metric} is undefined on these samples of {evaluation.dataset['name']}",
            expected="samples that define it (AP of large objects needs large objects)",
            remedy="gate on another metric, or evaluate more samples",
        )
    _check_scale(values[1], gate, reference.name, signed=gate.metric in reference.signed)
    floor_is_zero = not gate.lower_is_better and gate.metric not in reference.signed
    most = 1.0 if gate.relative else values[1]
    if floor_is_zero and most <= gate.margin:
        raise UsageError(
            f"the gate on {gate.metric} cannot fail: the reference has no more than the margin "
            "to lose",
            where=f"{reference.name}: {gate.metric} {values[1]:.4g}, margin {gate.margin:g}",
            remedy=_smaller_margin(gate),
        )


def _smaller_margin(gate: Gate) -> str:
    if gate.margin >= 1 and not gate.relative:
        points = f"{gate.margin:g} points are margin={gate.margin / 100:g}"
        return f"AP and accuracy lie in [0, 1]: {points}"
    return (
        "give the margin in the metric's own unit (AP and accuracy lie in [0, 1]), "
        "and look at the reference: it may be fed or decoded wrongly"
    )


def _check_scale(value: float, gate: Gate, name: str, *, signed: bool = False) -> None:
    if gate.relative and (value <= 0 or signed):
        raise UsageError(
            f"{gate.metric} has no scale that a share could be taken of",
            got=f"{value:.4g} of {name}",
            remedy="give the margin in the metric's own unit",
        )


def _is_cost(metric: str, evaluation: Results) -> bool:
    """A time or bytes, unless the samples have a metric of this name."""
    return metric in _COSTS and metric not in evaluation.replicates


def _compared(evaluation: Results, reference: Results, gate: Gate) -> Comparison:
    """Quantized - reference by the estimator that suits the metric."""
    metric, n = gate.metric, len(evaluation.rows)
    if _is_cost(metric, evaluation):
        return _cost_compared(evaluation, reference, gate)
    if _identical(evaluation, reference):
        return Known(0.0, n)
    mine, its = evaluation.per_sample.get(metric), reference.per_sample.get(metric)
    one_by_one = not gate.relative and evaluation.groups is None
    if mine is not None and its is not None and one_by_one:
        counted = mine.dtype == bool
        scale = float(np.ptp(np.concatenate([mine, its]))) if not counted else 1.0
        return PairedProportions.of(mine, its) if counted else PairedMeans(mine - its, scale)
    return _by_influence(evaluation, reference, gate)


def _by_influence(evaluation: Results, reference: Results, gate: Gate) -> PairedInfluence:
    return PairedInfluence.between(
        (evaluation.value(gate.metric), reference.value(gate.metric)),
        (evaluation.influence(gate.metric), reference.influence(gate.metric)),
        relative=gate.relative,
        lower_is_better=gate.lower_is_better,
        groups=evaluation.seen_group_numbers,
    )


def _identical(evaluation: Results, reference: Results) -> bool:
    """Whether both are the same model's answers: then nothing is left to chance."""
    if evaluation is reference:
        return True
    known = bool(evaluation.identity) and evaluation.identity == reference.identity
    return known and evaluation.rows == reference.rows


def _cost_compared(evaluation: Results, reference: Results, gate: Gate) -> Comparison:
    if gate.metric == LATENCY:
        return TimeRatio(evaluation.timed(), reference.timed())
    if gate.metric == ENERGY:
        _check_meters(evaluation, reference)
        if evaluation is reference:  # its few windows would leave it undecided about itself
            return Known(0.0)
        return TimeRatio(evaluation.drawn(), reference.drawn(), method=ENERGY_RATIO)
    value, was = evaluation.value(gate.metric), reference.value(gate.metric)
    return Known(value / was - 1 if gate.relative else value - was)


def _check_meters(evaluation: Results, reference: Results) -> None:
    """Two counters that count different things have no ratio."""
    by = [each.energy.by if each.energy else "" for each in (evaluation, reference)]
    if by[0] != by[1]:
        raise UsageError(
            f"the energy of {evaluation.name} and of {reference.name} was counted by two counters",
            expected=by[1],
            got=by[0],
        )


def _judged(
    evaluation: Results,
    reference: Results,
    gate: Gate,
    comparison: Comparison,
    against: Against = "reference",
) -> Verdict:
    flips = _flips(evaluation, reference, gate.metric)
    value = reference.value(gate.metric)
    return replace(_verdict(evaluation, value, gate, comparison, against), flips=flips)


def _verdict(
    evaluation: Results, was: float, gate: Gate, comparison: Comparison, against: Against
) -> Verdict:
    """What the comparison says to the gate; `was` is the value that it was compared with."""
    difference = comparison.interval(2 * gate.confidence - 1)
    outcome = outcome_of(difference, gate)
    oriented = comparison.mirrored() if gate.lower_is_better else comparison
    undecided = outcome == "inconclusive"
    # What a study declares is a failure against the reference.
    declared = against == "reference" and evaluation.declares_failure(gate.metric)
    return Verdict(
        case=evaluation.name,
        gate=gate,
        outcome=outcome,
        difference=difference,
        quantized=evaluation.value(gate.metric),
        reference=was,
        p_value=oriented.p_at_most(-gate.margin),
        samples_to_decide=samples_to_decide(comparison, gate) if undecided else None,
        against=against,
        exact=isinstance(comparison, Known),
        accepted=(undecided and evaluation.undecided_passes) or (outcome == "fail" and declared),
    )


def _flips(evaluation: Results, reference: Results, metric: str) -> tuple[int, int] | None:
    mine, its = evaluation.per_sample.get(metric), reference.per_sample.get(metric)
    if mine is None or its is None or mine.dtype != bool:
        return None
    pair = PairedProportions.of(mine, its[: len(mine)])
    # Of a share that should be small, such as `lost`, more is the loss.
    turned = metric in evaluation.lower_is_better
    return (pair.gains, pair.losses) if turned else (pair.losses, pair.gains)


def _judged_early(evaluation: Results, reference: Results, gate: Gate) -> Verdict:
    """Take in block after block until the bounds, which hold at every stop, decide.

    A pass waits for a bound at alpha / the number of the run's tests, which Holm's correction
    cannot undo. What is no share of right answers (AP) has no such
    bounds: all samples are taken in, and it is judged once.
    """
    strict = replace(gate, confidence=1 - (1 - gate.confidence) / evaluation.family)
    more = True
    while more:
        comparison = _early_comparison(evaluation, reference, gate)
        if comparison is not None and _decided(comparison, gate, strict):
            break
        more = evaluation.take_next_block is not None and evaluation.take_next_block()
    if evaluation.settle is not None:
        evaluation.settle()
    if comparison is None:
        return _judged(evaluation, reference, gate, _compared(evaluation, reference, gate))
    verdict = _judged(evaluation, reference, gate, comparison)
    # The reference may have been evaluated on more samples, for another case.
    was = reference.per_sample[gate.metric][: len(evaluation.rows)]
    return replace(verdict, reference=float(was.mean()))


def _early_comparison(
    evaluation: Results, reference: Results, gate: Gate
) -> BettingDifference | None:
    """Of a share of right answers; None of other metrics."""
    mine, its = (e.per_sample.get(gate.metric) for e in (evaluation, reference))
    if mine is None or its is None or mine.dtype != bool or gate.relative:
        return None
    differences = mine.astype(float) - its[: len(mine)].astype(float)
    numbers = evaluation.group_numbers
    if numbers is None:
        return BettingDifference(differences)
    return BettingDifference.by_group(differences, numbers)


def _decided(comparison: Comparison, gate: Gate, strict: Gate) -> bool:
    """Whether it fails its gate, or passes the strict one."""
    failed = outcome_of(comparison.interval(2 * gate.confidence - 1), gate) == "fail"
    return failed or outcome_of(comparison.interval(2 * strict.confidence - 1), strict) == "pass"


def _judge_against_baseline(evaluation: Results, accepted: Accepted, gate: Gate) -> Verdict:
    """Against what was accepted: in pairs where its evidence is stored, else by intervals."""
    was_evaluated = accepted.evaluation
    if was_evaluated is not None and gate.metric in was_evaluated.replicates:
        _check_scale(was_evaluated.value(gate.metric), gate, evaluation.name)
        comparison = _compared(evaluation, was_evaluated, gate)
        return _judged(evaluation, was_evaluated, gate, comparison, "baseline")
    if gate.metric not in accepted.metrics:
        raise UsageError(
            f"the baseline of {evaluation.name} does not know {gate.metric}",
            expected=", ".join(sorted(accepted.metrics)),
            remedy=meant(gate.metric, accepted.metrics)
            or "accept a run anew: quantbench accept out.json",
        )
    was = accepted.metrics[gate.metric]
    _check_scale(was.value, gate, evaluation.name)
    comparison = Independent(evaluation.estimate(gate.metric), was, relative=gate.relative)
    return _verdict(evaluation, was.value, gate, comparison, "baseline")
