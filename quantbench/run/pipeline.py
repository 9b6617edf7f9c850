"""The main path: from a case to its evaluation, through the store.

    source -> float model -> artifact -> runner -> evidence -> metrics -> verdict

`Workshop` goes as far as the evidence, `Bench` sums it up and brings together what is compared:
a case, its float reference, its known score, and what was accepted of it before.
"""

from __future__ import annotations

import json
import time
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.core.digests import digest_of
from quantbench.core.plugins import code_digest, resolve
from quantbench.core.progress import Steps
from quantbench.errors import AnchorError, BuildError, UsageError
from quantbench.record.baseline import read_baseline
from quantbench.record.schema import empty_record, with_artifact, with_cost, with_evaluation
from quantbench.run.evaluation import Evaluation
from quantbench.run.results import Accepted
from quantbench.run.workshop import Workshop
from quantbench.stats.bootstrap import REPLICATES, SEED, resampling_weights
from quantbench.stats.influence import influence_of
from quantbench.store.evidence import Evidence
from quantbench.study.registry import backends, find_backend, find_task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from quantbench.core.progress import Progress
    from quantbench.core.settings import Settings
    from quantbench.protocols import Task
    from quantbench.record.baseline import Entry
    from quantbench.stats.gates import Verdict
    from quantbench.study import Case

_REPLICATES = "replicates.npz"
_EXPLANATION = "explanation.json"
_CHANGES = "changes.json"
_DIAGNOSIS = "diagnosis.json"
_DIAGNOSED = 16  # samples
_WARM_UP = 3  # rounds


class Bench(Workshop):
    """Takes cases down the whole path; one instance a process."""

    def __init__(self, settings: Settings, progress: Progress | None = None) -> None:
        """Remember the settings; nothing is done yet. `progress` is told what takes long."""
        super().__init__(settings, progress)
        self._evaluations: dict[Case, Evaluation] = {}
        self._compared: set[Case] = set()
        self._summed_up: dict[Case, int] = {}  # rows
        self.family = 1  # gates that the run will judge together
        self._times: dict[Case, NDArray[np.float64]] = {}
        self._diagnoses: dict[Case, Mapping[str, Any]] = {}

    @cached_property
    def _baseline(self) -> Mapping[str, Entry]:
        """Read once for all cases; empty where none was given."""
        return read_baseline(self.settings.baseline) if self.settings.baseline else {}

    def evaluate(self, case: Case) -> Evaluation:
        """Evidence and the replicates of every metric; of a sequential run, its first look."""
        evaluation = self._once(case, self._evaluations, self._evaluate)
        evaluation.times_s = self._times.get(case)
        return evaluation

    def reference(self, case: Case) -> Evaluation:
        """What the case is judged against; both evaluations gain the metrics of agreement.

        Raises:
            UsageError: the model has no reference.
            BuildError: the case's artifact is the reference's.
            AnchorError: the reference does not reproduce its published score.
        """
        reference = self.evaluate(case.reference)
        self._check_anchor(reference)
        self._check_other(case, reference)
        for evaluation in (reference, self.evaluate(case)):
            if evaluation.case not in self._compared:
                self._agree(evaluation, reference)
                self._compared.add(evaluation.case)
        return reference

    def diagnose(self, case: Case, *, alone: bool = True) -> Mapping[str, Any]:
        """Why the case is worse than its reference (`backends/litert/diagnosis/looks.py`), as JSON.

        On samples of the calibration split. Looked at once: the store keeps it.

        Args:
            case: a quantized one.
            alone: whether to quantize each op alone, which takes minutes.

        Raises:
            UsageError: there is no float model beside it, or no look at models of its kind.
        """
        backend = find_backend(case.scheme.backend)
        if not backend.diagnosis:
            raise UsageError(
                f"the backend {backend.name} says nothing about why its models are worse",
                expected="one that does: "
                + ", ".join(each.name for each in backends().values() if each.diagnosis),
            )
        if case.is_reference:
            raise UsageError(f"{case} is the float model: there is nothing to explain")
        built = self.artifact(case)
        float_model = self.artifact(case.reference)
        samples = self.samples(case, "calibration")[:_DIAGNOSED]
        ingredients = {
            "artifacts": [float_model.sha256, built.sha256],
            "samples": [sample.fingerprint for sample in samples],
            "protocol": self._protocol(case),
            "alone": alone,
            "version": backend.diagnosed,
        }

        def look(folder: Path) -> None:
            task = self.task(case)
            with self._progress.working(f"preparing samples for {case}"):
                prepared = [task.prepare(sample) for sample in samples]
            with Steps(self._progress, f"diagnosing {case}") as step:
                found = resolve(backend.diagnosis)(
                    float_model.path, built.path, prepared, step, alone=alone
                )
            (folder / _DIAGNOSIS).write_text(json.dumps(found.as_json(), allow_nan=False))

        kept = self._store.get("diagnosis", ingredients, self._guarded(f"diagnosing {case}", look))
        diagnosis: dict[str, Any] = json.loads((kept.path / _DIAGNOSIS).read_text())
        self._diagnoses[case] = diagnosis
        return diagnosis

    def compared_speed(self, case: Case, rounds: int = 30) -> tuple[float, float]:
        """Medians of one inference in seconds, of the reference and of the case, in turn."""
        prepared = self.sample(case)
        with ExitStack() as opened:
            runners = [
                opened.enter_context(closing(self._opened(each))) for each in (case.reference, case)
            ]
            seconds = np.empty((2, rounds))
            for taken in (np.empty((2, _WARM_UP)), seconds):
                for i in range(taken.shape[1]):
                    for which, runner in enumerate(runners):
                        started = time.perf_counter()
                        runner.predict(prepared)
                        taken[which, i] = time.perf_counter() - started
        before, after = np.median(seconds, axis=1)
        return float(before), float(after)

    def verdicts(self) -> Iterator[Verdict]:
        """Those of all cases so far."""
        for evaluation in self._evaluations.values():
            yield from evaluation.verdicts

    def timed(self, case: Case, seconds: Sequence[float]) -> None:
        """Remember the rounds that pytest-benchmark timed."""
        self._times[case] = np.array(seconds)

    def record(self, case: Case) -> dict[str, Any]:
        """What this process knows of the case so far."""
        record = empty_record(case)
        if case in self._evaluations:
            record = with_evaluation(record, self._evaluations[case])
            if self.settings.baseline is not None and self._evaluations[case].accepted is None:
                record["baseline"] = "not in it"
        elif case in self._artifacts:
            record = with_artifact(record, self._artifacts[case], self._facts.get(case))
        if case in self._warmed_up:
            record = with_cost(record, self._warmed_up[case])
        if case in self._diagnoses:
            record["diagnosis"] = dict(self._diagnoses[case])
        return record

    def _evaluate(self, case: Case) -> Evaluation:
        looks = 1 if self.settings.sequential else None
        evidence = self.evidence(case, looks)
        artifact, task = self.artifact(case), self.task(case)
        whole = len(self.samples(case, "evaluation"))
        facts, groups = evidence.measured["runner"], self.groups(case)
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
                "sha256": self._digest(case),
                **({"of": whole} if self.settings.sequential else {}),
                **({"groups": len(set(groups))} if groups else {}),
                **({"duplicates": left_out} if (left_out := self.duplicates(case)) else {}),
            },
            groups=groups,
            artifact=artifact,
            evidence=evidence,
            summarise_s=0.0,
            protocol=self._protocol_digest(case),
            family=self.family if self.settings.holm else 1,
            undecided_passes=self.settings.inconclusive_passes,
            costs={
                "weights_bytes": facts["weights_bytes"],
                "artifact_bytes": artifact.size_bytes,
            },
        )
        self._sum_up(evaluation)
        if self.settings.sequential:
            evaluation.grow = partial(self._grow, evaluation)
            evaluation.settle = partial(self._settle, evaluation)
        evaluation.accepted = self._accepted(evaluation)
        return evaluation

    def _grow(self, evaluation: Evaluation) -> bool:
        """The next block; of the reference first, so that it always has as many rows."""
        case, reference = evaluation.case, self._reference_of(evaluation)
        while reference is not evaluation and len(reference.rows) <= len(evaluation.rows):
            if not self._grow(reference):
                return False
        looks = len(evaluation.evidence.shards) + 1
        grown = self.evidence(case, looks)
        if len(grown.shards) < looks:
            return False
        evaluation.evidence = grown
        evaluation.rows = grown.rows
        evaluation.dataset = {**evaluation.dataset, "n": len(grown.rows)}
        task = self.task(case)
        theirs = reference.rows[: len(grown.rows)] if case in self._compared else None
        evaluation.per_sample = dict(task.per_sample(grown.rows))
        if theirs is not None:
            evaluation.per_sample |= task.per_sample(grown.rows, theirs)
        return True

    def _settle(self, evaluation: Evaluation) -> None:
        """Sum up what was taken in since the last time."""
        for each in (self._reference_of(evaluation), evaluation):
            if self._summed_up.get(each.case) != len(each.rows):
                self._sum_up(each)
                if each.case in self._compared:
                    self._agree(each, self._reference_of(each))

    def _reference_of(self, evaluation: Evaluation) -> Evaluation:
        """The evaluation that this one is compared with; itself where that is not known yet."""
        case = evaluation.case
        return self._evaluations[case.reference] if case in self._compared else evaluation

    def _sum_up(self, evaluation: Evaluation) -> None:
        """Fill in everything that follows from the rows."""
        case, rows = evaluation.case, evaluation.rows
        task = self.task(case)
        weights = _weights(evaluation)
        ingredients = {
            "evidence": evaluation.evidence.sha256,
            **self._summed(case),
            **_recount(task, evaluation),
        }

        def summarise(folder: Path) -> None:
            summed: dict[str, Any] = dict(task.summarise(rows, weights()))
            np.savez(folder / _REPLICATES, **summed)
            (folder / _EXPLANATION).write_text(json.dumps(task.explain(rows), allow_nan=False))

        kept = self._store.get(
            "replicates", ingredients, self._guarded(f"summing up {case}", summarise)
        )
        evaluation.replicates = _arrays(kept.path / _REPLICATES)
        evaluation.explanation = json.loads((kept.path / _EXPLANATION).read_text())
        evaluation.summarise_s = kept.build_s
        evaluation.per_sample = dict(task.per_sample(rows))
        evaluation.moved_by = lru_cache(2)(partial(influence_of, task, rows, None))
        evaluation.dataset = {**evaluation.dataset, "n": len(rows)}
        self._summed_up[case] = len(rows)

    def _agree(self, evaluation: Evaluation, reference: Evaluation) -> None:
        """Add the metrics of agreement with the reference."""
        rows = evaluation.rows
        theirs = reference.rows[: len(rows)]
        task = self.task(evaluation.case)
        ingredients = {
            "evidence": [evaluation.evidence.sha256, reference.evidence.sha256],
            "rows": len(rows),
            "examples": self.settings.examples,
            **self._summed(evaluation.case),
            **_recount(task, evaluation),
        }
        weights = _weights(evaluation)

        def agree(folder: Path) -> None:
            agreed: dict[str, Any] = dict(task.agree(rows, theirs, weights()))
            np.savez(folder / _REPLICATES, **agreed)
            samples = {sample.id: sample for sample in self.samples(evaluation.case, "evaluation")}
            changes = task.changes(samples, rows, theirs, self.settings.examples)
            (folder / _CHANGES).write_text(json.dumps(changes, allow_nan=False))

        what = f"comparing {evaluation.case} with {reference.case.scheme.name}"
        kept = self._store.get("agreement", ingredients, self._guarded(what, agree))
        evaluation.replicates |= _arrays(kept.path / _REPLICATES)
        evaluation.changes = json.loads((kept.path / _CHANGES).read_text())
        evaluation.per_sample |= task.per_sample(rows, theirs)
        evaluation.moved_by = lru_cache(2)(partial(influence_of, task, rows, theirs))

    def _check_other(self, case: Case, reference: Evaluation) -> None:
        """A quantized model that is the float one, byte for byte, would pass every gate."""
        if case != reference.case and self.artifact(case).sha256 == reference.artifact.sha256:
            raise BuildError(
                f"the artifact of {case} is the float model's own",
                expected="other bytes than those of " + str(reference.case),
                got=f"sha256 {reference.artifact.sha256[:12]} for both",
                remedy="look at what the quantizer wrote: nothing was quantized, or two were mixed",
            )

    def _check_anchor(self, reference: Evaluation) -> None:
        seen = reference.case.dataset.name, len(reference.rows)
        for anchor in reference.case.model.anchors:
            value = reference.value(anchor.metric) if seen == (anchor.dataset, anchor.n) else None
            if value is None or abs(value - anchor.value) <= anchor.tolerance:
                continue
            raise AnchorError(
                f"{reference.case} does not reproduce its known score",
                expected=f"{anchor.metric} {anchor.value:g} +- {anchor.tolerance:g}, "
                f"{anchor.source}",
                got=f"{value:.4g} on {anchor.n} samples",
                remedy="the model is fed or decoded wrongly, or is another: mend that first; "
                "quantized cases mean nothing until then",
            )

    def _accepted(self, evaluation: Evaluation) -> Accepted | None:
        """What the baseline knows of the case.

        Raises:
            RecordError: it was accepted on other data or under another protocol.
        """
        case = evaluation.case
        entry = self._baseline.get(str(case))
        if entry is None:
            return None
        entry.check(str(case), evaluation.dataset["sha256"], evaluation.protocol)
        shards = [self._store.find("evidence", key) for key in entry.evidence]
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

    def _protocol_digest(self, case: Case) -> str:
        """Of how samples become rows, and rows numbers, versions of tools left out."""
        summed = self._summed(case)
        summed["protocol"] = {k: v for k, v in summed["protocol"].items() if k != "tools"}
        return digest_of(summed)

    def _summed(self, case: Case) -> dict[str, Any]:
        """How rows become replicates."""
        task = find_task(case.task)
        return {
            "protocol": self._protocol(case),
            **(
                {"metrics": version} if (version := getattr(task, "metrics_version", 1)) > 1 else {}
            ),
            "operating_points": getattr(case.model.interface, "operating_points", ()),
            "replicates": REPLICATES,
            "seed": SEED,
        }


def _weights(evaluation: Evaluation) -> Callable[[], NDArray[np.float64]]:
    """Draws of its samples, or of its groups, when they are asked for."""
    n, numbers = len(evaluation.rows), evaluation.seen_group_numbers
    drawn = None if numbers is None else tuple(numbers.tolist())
    return lambda: resampling_weights(n, groups=drawn)


def _recount(task: Task, evaluation: Evaluation) -> dict[str, Any]:
    """What besides rows decides over replicates: the code that counts them, and the groups."""
    numbers = evaluation.seen_group_numbers
    groups = None if numbers is None else digest_of(numbers.tolist())
    return {"code": code_digest(type(task)), **({"groups": groups} if groups else {})}


def _arrays(path: Path) -> dict[str, NDArray[np.float64]]:
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)
