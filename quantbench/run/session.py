"""A run: what was built, opened, evaluated and judged so far. The steps do the work.

source -> float model -> artifact -> runner -> evidence -> metrics -> verdict
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from quantbench.core.progress import Silent
from quantbench.errors import DataError, PredictionError, QuantbenchError
from quantbench.protocols import Step
from quantbench.run.context import Context, explained
from quantbench.run.evaluation import Evaluation
from quantbench.run.predictions import Predictions
from quantbench.run.results import Accepted
from quantbench.run.runners import Runners, opened
from quantbench.run.samples import Samples
from quantbench.run.steps import check, resolve, speed
from quantbench.run.steps import diagnose as diagnosing
from quantbench.run.steps.build import Wanted, build, search_recipe
from quantbench.run.steps.summarise import Rows, Summary, agree, protocol_digest, sum_up
from quantbench.stats.influence import influence_of
from quantbench.store.evidence import Evidence
from quantbench.store.opening import open_store
from quantbench.study.registry import find_task, runner_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import Unpack

    from numpy.typing import NDArray

    from quantbench.core.progress import Progress
    from quantbench.core.settings import Settings
    from quantbench.protocols import Runner, Task
    from quantbench.run.accepted import Entry
    from quantbench.run.context import Parts
    from quantbench.run.steps.resolve import FloatModel
    from quantbench.stats.gates import Verdict
    from quantbench.store.artifacts import Artifact, Store
    from quantbench.study import Case, Gate, Model

_T = TypeVar("_T")


class Session:
    """Takes cases down the whole way, each step once. Create one per process.

    Attributes:
        settings: what was asked for.
        family: gates that the run will judge together.
        evaluations: of all cases so far.
        artifacts: of all cases so far.
        times_s: seconds of the rounds that pytest-benchmark timed.
        diagnoses: of all cases so far, as JSON.
        speeds: why cases are slower than their float models, of all that were asked for, as JSON.
        verdicts: on all cases so far, in the order in which they were made.
        runners: which model is open, and what was measured of each.
    """

    def __init__(
        self,
        settings: Settings,
        progress: Progress | None = None,
        *,
        baseline: Mapping[str, Entry] | None = None,
        store: Store | None = None,
        **parts: Unpack[Parts],
    ) -> None:
        """Do nothing yet.

        Args:
            settings: what was asked for.
            progress: is told of long work.
            baseline: what was accepted before, by case; None where nothing is compared with it.
            store: where results are kept; the settings' own where none is given.
            parts: of the `Context` besides: `meter`, `executor`, `placed`.
        """
        self.settings, self.baseline, self.family = settings, baseline, 1
        store = store or open_store(settings.cache, settings.remote)
        self._context = Context(store, settings, progress or Silent(), **parts)
        self._samples = Samples(self._context, self.task)
        self.runners = Runners(self._context, self.artifact)
        self._predictions = Predictions(
            self._context, self._samples, self.runners, self.task, self.artifact
        )
        self.artifacts: dict[Case, Artifact] = {}
        self.evaluations: dict[Case, Evaluation] = {}
        self.diagnoses: dict[Case, Mapping[str, Any]] = {}
        self.speeds: dict[Case, Mapping[str, Any]] = {}
        self.verdicts: list[Verdict] = []
        self.times_s: dict[Case, NDArray[np.float64]] = {}
        self._float_models: dict[tuple[Model, str], FloatModel] = {}
        self._failures: dict[Case, QuantbenchError] = {}
        self._compared: set[Case] = set()
        self._summed_up: dict[Case, int] = {}  # rows

    def source(self, text: str) -> Artifact:
        """The files of a source, fetched and verified."""
        return resolve.source_of(self._context, text)

    def float_model(self, case: Case) -> Artifact:
        """What quantizers start from: the source's files, imported where they are foreign."""
        return self.imported(case).made

    def imported(self, case: Case) -> FloatModel:
        """The float model with the importers that made it."""
        key = case.model, case.scheme.backend
        if key not in self._float_models:
            self._context.executor.settle(Step("import", case))
            self._float_models[key] = resolve.float_model(self._context, *key)
        return self._float_models[key]

    def task(self, case: Case) -> Task:
        """The case's task, on the model's own tokenizer or interface."""
        made: Task = find_task(case.task)(case.model, self.float_model(case).path)
        return made

    def artifact(self, case: Case) -> Artifact:
        """The quantized model, built and verified."""
        return self._once(case, self.artifacts, self._build)

    def _build(self, case: Case) -> Artifact:
        runner_for(case)  # refuses a device before any work is done for it
        made = self.imported(case)
        self._context.executor.settle(Step("build", case))
        return build(self._context, case, self._samples, made, lambda: self.task(case))

    def recipe(self, case: Case, gate: Gate | None = None, *, for_speed: bool = False) -> Artifact:
        """A recipe that passes the gate on the calibration split (`steps/build.py`)."""
        check.check_trained(case)
        made, task = self.float_model(case), partial(self.task, case)
        return search_recipe(
            self._context, case, self._samples, made, task, Wanted(gate, for_speed)
        )

    def samples(self, case: Case, split: str) -> Sequence[Any]:
        """The case's samples of a split, "evaluation" or "calibration"."""
        return self._samples.of(case, split)

    def groups(self, case: Case) -> Sequence[str] | None:
        """The group of each evaluated sample, in their order; None where they have none."""
        return self._samples.groups(case)

    def sample(self, case: Case) -> Any:
        """The first evaluation sample, prepared for the model."""
        first = self.samples(case, "evaluation")[0]
        with explained(f"preparing {first.id} for {case}", DataError):
            return self.task(case).prepare(first)

    def warmed(self, case: Case, prepared: Any) -> AbstractContextManager[Runner]:
        """The runner after a few predictions; inside the block it stays open."""
        return self.runners.warmed(case, prepared)

    def close(self) -> None:
        """Close the open runner."""
        self.runners.close()

    def evidence(
        self, case: Case, looks: int | None = None, known: Evidence | None = None
    ) -> Evidence:
        """Rows for every evaluated sample, or those of the first so many blocks.

        Predicted once for this artifact, shard by shard: what a killed run had finished stands.

        Args:
            case: whose rows they are.
            looks: blocks; None for all.
            known: evidence of the first blocks, which is taken as it is.

        Raises:
            IntegrityError: what the store gives was predicted by another artifact.
            UntrainedError: the model's weights are random.
        """
        check.check_trained(case)
        return self._predictions.of(case, looks, known)

    def predicted(self, case: Case, block: range) -> Artifact:
        """The evidence of one block of the case's samples."""
        check.check_trained(case)
        return self._predictions.shard(case, block)

    def blocks(self, case: Case) -> list[range]:
        """How the case's evaluated samples are cut."""
        return self._predictions.blocks(case)

    def rows(self, case: Case) -> Rows:
        """Every row of the case, to be summed up."""
        check.check_trained(case)
        return self._predictions.rows(case)

    def sum_up(self, case: Case) -> Summary:
        """Every metric of the case's rows under each draw (`steps/summarise.py`)."""
        return sum_up(self._context, self.rows(case), self.task(case))

    def compare(self, case: Case) -> Summary:
        """The metrics of agreement of the case's rows with its reference's."""
        mine, theirs = self.rows(case), self.rows(case.reference)
        samples = partial(self.samples, case, "evaluation")
        return agree(self._context, mine, theirs, self.task(case), samples)

    def evaluate(self, case: Case) -> Evaluation:
        """Evidence and the replicates of every metric; of a sequential run, its first look.

        Raises:
            UntrainedError: the model's weights are random.
        """
        check.check_trained(case)
        evaluation = self._once(case, self.evaluations, self._evaluate)
        evaluation.times_s = self.times_s.get(case)
        evaluation.energy = self.runners.energies.prediction(case)
        return evaluation

    def reference(self, case: Case) -> Evaluation:
        """What the case is judged against; both evaluations gain the metrics of agreement.

        Raises:
            UsageError: the model has no reference.
            BuildError: the case's artifact is the reference's.
            AnchorError: the reference does not reproduce its published score, or the task finds
                that nothing can be judged against it.
        """
        reference = self.evaluate(case.reference)
        check.check_anchor(reference)
        check.check_reference(reference, self.task(case.reference))
        check.check_other(case, self.artifact(case), reference)
        for evaluation in (reference, self.evaluate(case)):
            if evaluation.case not in self._compared:
                self._agree(evaluation, reference)
                self._compared.add(evaluation.case)
        return reference

    def diagnose(self, case: Case, *, alone: bool = True) -> Mapping[str, Any]:
        """Why the case is worse than its reference, as JSON (`steps/diagnose.py`).

        On samples of the calibration split.

        Args:
            case: a quantized one.
            alone: whether to quantize each op alone, which takes minutes.

        Raises:
            UsageError: there is no float model beside it, or its backend has no diagnosis.
            UntrainedError: the model's weights are random.
        """
        check.check_trained(case)
        beside = diagnosing.float_beside(case)
        artifacts = self.artifact(beside), self.artifact(case)
        samples = self.samples(case, "calibration")
        self.diagnoses[case] = diagnosing.diagnose(
            self._context, case, artifacts, samples, lambda: self.task(case), alone=alone
        )
        return self.diagnoses[case]

    def diagnose_speed(self, case: Case) -> Mapping[str, Any]:
        """Where the case's time goes, op by op, beside a float model's of the same runtime.

        Measured anew each time it is asked for (`steps/speed.py`).

        Args:
            case: a quantized one.

        Raises:
            UsageError: there is no float model beside it, or its backend times no ops.
        """
        self.runners.close()
        self.speeds[case] = {}  # what breaks now is not tried again by every test of the case
        cases = speed.float_beside(case), case
        artifacts = [self.artifact(each) for each in cases]
        prepared = [[self.sample(each)] for each in cases]
        self.speeds[case] = speed.compare(self._context, cases, artifacts, prepared)
        return self.speeds[case]

    def compared_speed(self, case: Case) -> tuple[float, float]:
        """Median seconds of one inference, of the reference and of the case, timed in turn."""
        both = case.reference, case
        openers = [partial(opened, self._context, each, self.artifact(each)) for each in both]
        before, after = diagnosing.compare_speed(openers, [self.sample(each) for each in both])
        return before, after

    def timed(self, case: Case, seconds: Sequence[float]) -> None:
        """Remember the rounds that pytest-benchmark timed."""
        self.times_s[case] = np.array(seconds)
        self.runners.energies.estimate(case, seconds)

    def median_s(self, case: Case) -> float | None:
        """Median of the rounds that pytest-benchmark timed, if it did."""
        seconds = self.times_s.get(case)
        return None if seconds is None else float(np.median(seconds))

    def _evaluate(self, case: Case) -> Evaluation:
        sequential = self.settings.sequential
        evidence = self.evidence(case, 1 if sequential else None)
        artifact, task = self.artifact(case), self.task(case)
        whole = len(self.samples(case, "evaluation"))
        facts, groups = evidence.measured["runner"], self.groups(case)
        left_out = self._samples.duplicates(case)
        evaluation = Evaluation(
            case=case,
            name=str(case),
            is_reference=case.is_reference,
            identity=artifact.sha256,
            rows=evidence.rows,
            replicates={},
            lower_is_better=task.lower_is_better,
            signed=task.signed,
            dataset={
                "name": case.dataset.name,
                "n": whole,
                "sha256": self._samples.digest(case),
                **({"of": whole} if sequential else {}),
                **({"groups": len(set(groups))} if groups else {}),
                **({"duplicates": left_out} if left_out else {}),
            },
            groups=groups,
            artifact=artifact,
            evidence=evidence,
            summarise_s=0.0,
            protocol=protocol_digest(case),
            on_verdict=self.verdicts.append,
            family=self.family if self.settings.holm else 1,
            undecided_passes=self.settings.inconclusive_passes,
            costs={
                "weights_bytes": facts["weights_bytes"],
                "artifact_bytes": artifact.size_bytes,
            },
        )
        self._sum_up(evaluation)
        self._summed_up[case] = len(evaluation.rows)
        if sequential:
            evaluation.take_next_block = partial(self._take_next_block, evaluation)
            evaluation.settle = partial(self._settle, evaluation)
        evaluation.accepted = self._accepted(evaluation)
        return evaluation

    def _take_next_block(self, evaluation: Evaluation) -> bool:
        """Of the reference first, so that it always has as many rows."""
        case, reference = evaluation.case, self._reference_of(evaluation)
        while reference is not evaluation and len(reference.rows) <= len(evaluation.rows):
            if not self._take_next_block(reference):
                return False
        before = evaluation.evidence
        grown = self.evidence(case, len(before.shards) + 1, before)
        if len(grown.shards) == len(before.shards):
            return False
        evaluation.evidence, evaluation.rows = grown, grown.rows
        evaluation.dataset = {**evaluation.dataset, "n": len(grown.rows)}
        seen, task = len(before.rows), self.task(case)
        new = grown.rows[seen:]
        more = dict(task.per_sample(new))
        if case in self._compared:
            more |= task.per_sample(new, reference.rows[seen : len(grown.rows)])
        evaluation.per_sample = {
            name: np.concatenate([evaluation.per_sample[name], part]) for name, part in more.items()
        }
        return True

    def _settle(self, evaluation: Evaluation) -> None:
        """Sum up what was taken in since the last time."""
        for each in (self._reference_of(evaluation), evaluation):
            if self._summed_up.get(each.case) != len(each.rows):
                self._sum_up(each)
                self._summed_up[each.case] = len(each.rows)
                if each.case in self._compared:
                    self._agree(each, self._reference_of(each))

    def _reference_of(self, evaluation: Evaluation) -> Evaluation:
        """The evaluation that this one is compared with; itself where that is not known yet."""
        case = evaluation.case
        return self.evaluations[case.reference] if case in self._compared else evaluation

    def _sum_up(self, evaluation: Evaluation) -> None:
        """Fill in everything that follows from the rows."""
        case, rows, task = evaluation.case, evaluation.rows, self.task(evaluation.case)
        self._context.executor.settle(Step("sum up", case))
        found = sum_up(self._context, _rows_of(evaluation), task)
        evaluation.replicates = found.replicates
        evaluation.explanation, evaluation.summarise_s = found.details, found.seconds
        evaluation.per_sample = dict(task.per_sample(rows))
        evaluation.moved_by = lru_cache(2)(partial(influence_of, task, rows, None))
        evaluation.dataset = {**evaluation.dataset, "n": len(rows)}
        if (cross_check := getattr(task, "cross_check", None)) is not None:
            with explained(f"cross-checking the metrics of {case}", PredictionError):
                cross_check(rows)

    def _agree(self, evaluation: Evaluation, reference: Evaluation) -> None:
        """Add the metrics of agreement with the reference."""
        rows, task = evaluation.rows, self.task(evaluation.case)
        as_many = reference.rows[: len(rows)]
        theirs = replace(_rows_of(reference), read=lambda: as_many, n=len(as_many))
        self._context.executor.settle(Step("compare", evaluation.case))
        samples = partial(self.samples, evaluation.case, "evaluation")
        found = agree(self._context, _rows_of(evaluation), theirs, task, samples)
        evaluation.replicates |= found.replicates
        evaluation.changes = found.details["changes"]
        evaluation.explanation = {**evaluation.explanation, **found.details["explanation"]}
        evaluation.per_sample |= task.per_sample(rows, as_many)
        evaluation.moved_by = lru_cache(2)(partial(influence_of, task, rows, as_many))

    def _accepted(self, evaluation: Evaluation) -> Accepted | None:
        """What the baseline knows of the case.

        Raises:
            RecordError: it was accepted on other data or under another protocol.
        """
        name = str(evaluation.case)
        entry = (self.baseline or {}).get(name)
        if entry is None:
            return None
        entry.check(name, evaluation.dataset["sha256"], evaluation.protocol)
        shards = [self._context.store.find("evidence", key) for key in entry.evidence]
        if not shards or any(shard is None for shard in shards):
            return Accepted(entry.metrics)
        evidence = Evidence(tuple(shard for shard in shards if shard is not None))
        was = replace(
            evaluation,
            evidence=evidence,
            rows=evidence.rows,
            accepted=None,
            identity=evidence.shards[0].details.get("artifact", ""),
        )
        self._sum_up(was)
        return Accepted(entry.metrics, was)

    def _once(self, case: Case, done: dict[Case, _T], work: Callable[[Case], _T]) -> _T:
        """Do the work for a case once; a failure is raised again without repeating it."""
        if case in self._failures:
            raise self._failures[case]
        if case not in done:
            try:
                done[case] = work(case)
            except QuantbenchError as error:
                self._failures[case] = error
                raise
        return done[case]


def _rows_of(evaluation: Evaluation) -> Rows:
    return Rows(
        evaluation.case,
        lambda: evaluation.rows,
        len(evaluation.rows),
        evaluation.evidence.sha256,
        evaluation.seen_group_numbers,
    )
