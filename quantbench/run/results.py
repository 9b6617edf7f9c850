"""What samples said of a model: metrics with intervals, and what a verdict is made of."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.errors import DataError, UsageError, meant
from quantbench.stats.bootstrap import percentile_estimate
from quantbench.stats.influence import mean_influence
from quantbench.stats.influences import PairedInfluence
from quantbench.stats.proportions import wilson

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from quantbench.measure.energy.drawn import Energy
    from quantbench.protocols import Influence, Row
    from quantbench.stats.comparison import Estimate
    from quantbench.stats.gates import Verdict

_CONFIDENCE = 0.95  # of the intervals around single values
LATENCY, ENERGY = "latency", "energy"
BYTES = ("weights_bytes", "artifact_bytes")
FEWEST_GROUPS = 10


@dataclass(repr=False, kw_only=True)
class Results:
    """What the samples of a data set said of a model: rows and metrics.

    Attributes:
        name: of the model's case, or of a file.
        rows: evidence, one row a sample.
        replicates: each metric on the samples as they are and, where there are draws, under each
            of them, [1 + draws]. Metrics of agreement with the reference join when the reference
            is evaluated.
        lower_is_better: metrics for which an increase is a loss.
        dataset: `name`, `n`, `sha256`; of a sequential evaluation also `of`, all there are;
            `groups` where samples come in groups, `duplicates` that were left out.
        is_reference: it is what others are judged against.
        identity: digest of the model, where it is known: one model's equal rows leave no chance.
        per_sample: of those metrics that are means over samples, each sample's part, [rows].
        moved_by: how much each sample moves any other metric, by its name.
        groups: name of each sample's group, in their order, where samples come in groups; of a
            sequential evaluation those of samples to come too.
        signed: metrics of which 0 is not the least.
        costs: bytes by name.
        times_s: seconds of the rounds that pytest-benchmark timed in this run, if it did.
        energy: of one prediction, where a run knows it.
        accepted: what the baseline accepted of this case, if one was given.
        family: tests of the run that judge; an early stop is corrected for their number.
        take_next_block: of a sequential evaluation, takes in the next block of samples, after
            its reference has, and says whether there was one; None otherwise. Until `settle` is
            called, `per_sample` alone follows.
        settle: sums up what was taken in, of the reference too.
        undecided_passes: an undecided verdict is accepted (`--quant-inconclusive pass`).
        on_verdict: is told of every verdict on these results, asserted or not.
    """

    name: str
    rows: Sequence[Row]
    replicates: dict[str, NDArray[np.float64]]
    lower_is_better: frozenset[str]
    dataset: Mapping[str, Any]
    is_reference: bool = False
    identity: str = ""
    per_sample: dict[str, NDArray[Any]] = field(default_factory=dict)
    moved_by: Callable[[str], Influence] | None = None
    groups: Sequence[str] | None = None
    signed: frozenset[str] = frozenset()
    costs: Mapping[str, int] = field(default_factory=dict)
    times_s: NDArray[np.float64] | None = None
    energy: Energy | None = None
    accepted: Accepted | None = None
    family: int = 1
    take_next_block: Callable[[], bool] | None = None
    settle: Callable[[], None] | None = None
    undecided_passes: bool = False
    on_verdict: Callable[[Verdict], object] | None = None

    def declares_failure(self, metric: str) -> bool:
        """Whether the study says that the gate on this metric must fail."""
        del metric
        return False

    def __repr__(self) -> str:
        """Short, for pytest's assertion message."""
        return f"<results of {self.name}, {len(self.rows)} samples>"

    def estimate(self, metric: str, confidence: float = _CONFIDENCE) -> Estimate:
        """A metric with its interval.

        Wilson's for a proportion, else the percentile bootstrap's; by influences where nothing was
        drawn (results out of files).

        Raises:
            UsageError: no such metric.
        """
        values = self.replicates.get(metric)
        if values is None:
            known = [*self.replicates, *([LATENCY, ENERGY, *self.costs] if self.costs else [])]
            raise UsageError(
                f"unknown metric {metric!r} of {self.name}",
                expected=", ".join(known),
                remedy=meant(metric, known),
            )
        if len(values) == 1:  # nothing was drawn
            return self._by_influence(metric, confidence)
        answers = self.per_sample.get(metric)
        if answers is not None and answers.dtype == bool and self.groups is None:
            return wilson(int(answers.sum()), len(answers), confidence)
        found = percentile_estimate(values, len(self.rows), confidence)
        return found if self.groups is None else replace(found, groups=self.seen_groups)

    def value(self, metric: str) -> float:
        """A metric, a median time in seconds, joules, or bytes, on the samples as they are."""
        if metric in self.replicates:
            return float(self.replicates[metric][0])
        if metric in self.costs:
            return float(self.costs[metric])
        if metric == LATENCY:
            return float(np.median(self.timed()))
        if metric == ENERGY:
            return float(np.median(self.drawn()))
        return self.estimate(metric).value  # says what there is

    def _by_influence(self, metric: str, confidence: float) -> Estimate:
        """A metric's interval without draws: against a metric that is 0 and cannot vary."""
        value, moved = self.value(metric), self.influence(metric)
        smooth = None if moved.smooth is None else 0.0
        folded = None if moved.folded is None else np.zeros_like(moved.folded)
        still = replace(moved, change=np.zeros_like(moved.change), smooth=smooth, folded=folded)
        pair = PairedInfluence.between((value, 0.0), (moved, still), groups=self.seen_group_numbers)
        down, up = max(value - moved.least, 0.0), max(moved.most - value, 0.0)
        return replace(pair, down=down, up=up).interval(confidence)

    @property
    def seen_groups(self) -> int | None:
        """How many groups the rows come in, where they do."""
        return None if self.groups is None else len(set(self.groups[: len(self.rows)]))

    @property
    def seen_group_numbers(self) -> NDArray[np.int64] | None:
        """Number of each row's group, from 0, counting the groups that the rows show."""
        numbers = self.group_numbers
        if numbers is None:
            return None
        found = np.unique(numbers[: len(self.rows)], return_inverse=True)[1]
        return np.asarray(found, dtype=np.int64)

    def influence(self, metric: str) -> Influence:
        """How much each sample moves a metric.

        Raises:
            UsageError: the metric is none of samples.
        """
        if metric in self.per_sample:
            return mean_influence(self.per_sample[metric])
        if self.moved_by is None:
            raise UsageError(f"{metric} of {self.name} is no metric of its samples")
        return self.moved_by(metric)

    @property
    def group_numbers(self) -> NDArray[np.int64] | None:
        """Number of each sample's group, from 0; None where samples come one by one.

        Raises:
            DataError: there are fewer than ten groups.
        """
        if self.groups is None:
            return None
        names, numbers = np.unique(np.asarray(self.groups), return_inverse=True)
        if len(names) < FEWEST_GROUPS:
            raise DataError(
                f"too few groups to judge {self.name} by",
                where=str(self.dataset["name"]),
                expected=f"at least {FEWEST_GROUPS} groups",
                got=f"{len(names)} groups of {len(self.groups)} samples",
                remedy="evaluate more groups, name a finer group, or none (in a test run "
                "--quant-samples all, --quant-group FIELD or none); taken one by one, samples of "
                "a group that are alike prove less than a verdict states",
            )
        return np.asarray(numbers, dtype=np.int64)

    def timed(self) -> NDArray[np.float64]:
        """Seconds of each timed round.

        Raises:
            UsageError: nothing was timed.
        """
        if self.times_s is None:
            raise UsageError(
                f"the latency of {self.name} was not measured before its gate",
                expected="a test before this one that times `benchmark(quantized.predict, sample)`",
                remedy="run alone (without -n and with benchmarks enabled), timing tests first",
            )
        return self.times_s

    def drawn(self) -> NDArray[np.float64]:
        """Joules of a prediction in each measured window.

        Raises:
            UsageError: nothing was measured, or it is estimated from times.
        """
        energy = self.energy
        if energy is not None and energy.provenance == "estimated":
            raise UsageError(
                f"the energy of {self.name} is estimated: a gate on it would be one on latency",
                expected="energy that a counter measured",
                got=energy.by,
                remedy="gate on latency, or run where quantbench doctor finds a counter",
            )
        if energy is None or not energy.windows:
            raise UsageError(
                f"the energy of {self.name} was not measured before its gate",
                expected="a test before this one that uses the fixture quantized, run alone",
                got=(energy and energy.reason) or "nothing was measured",
                remedy="quantbench doctor says which counters this machine has",
            )
        return np.array(energy.windows)


@dataclass(frozen=True)
class Accepted:
    """What a baseline accepted of a case.

    Attributes:
        metrics: its estimates.
        evaluation: of its rows, where they are still in the store.
    """

    metrics: Mapping[str, Estimate]
    evaluation: Results | None = None
