"""The first half of the path: from a case to its evidence, through the store.

    source -> float model -> artifact -> runner -> evidence

Each arrow is one method of `Workshop`, in this order; each result but the runner is kept in the
store, so any step can be taken up by another process or another day.
"""

from __future__ import annotations

import json
import time
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, replace
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from quantbench.core.digests import digest_of, sha256_of
from quantbench.core.overlap import ahead
from quantbench.core.plugins import missing_extra, resolve
from quantbench.core.progress import Silent
from quantbench.core.settings import Machine
from quantbench.data.distinct import distinct
from quantbench.data.groups import grouped_by, groups_of, shuffled
from quantbench.diagnosis.recipe_files import RECIPE
from quantbench.errors import (
    BuildError,
    DataError,
    IntegrityError,
    OutOfReachError,
    PredictionError,
    QuantbenchError,
    UsageError,
)
from quantbench.measure.devices import MORE_MEMORY, is_out_of_memory
from quantbench.measure.energy import joules_of
from quantbench.measure.memory import Cost, peak_memory
from quantbench.sources.parsing import File, parse_source
from quantbench.stats.bootstrap import SEED
from quantbench.store.artifacts import REFUSED, Artifact, Store, default_root
from quantbench.store.evidence import ROWS, Evidence, blocks
from quantbench.study.calibration import calibrates
from quantbench.study.registry import (
    find_backend,
    find_importer,
    find_quantizer,
    find_task,
    runner_for,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from quantbench.core.progress import Progress
    from quantbench.core.settings import Settings
    from quantbench.protocols import Dataset, Quantizer, Runner, Task
    from quantbench.study import Case, Gate, Model, Scheme

_T = TypeVar("_T")
_WARM_UP_CALLS = 3
_FEWEST = 10  # samples that calibrate, where a data set does not say that it has fewer
_PROBES = 3  # samples that an artifact is checked with where none calibrate it


def usual_gate(case: Case) -> Gate:
    """What a recipe of the case's scheme is searched for where nobody says otherwise."""
    return find_backend(case.scheme.backend).mendings[case.scheme.quantizer].gate


class Workshop:
    """Makes what is judged; one instance a process."""

    def __init__(self, settings: Settings, progress: Progress | None = None) -> None:
        """Remember the settings; nothing is done yet. `progress` is told what takes long."""
        self.settings = settings
        self._progress = progress or Silent()
        self._store = Store(settings.cache or default_root())
        self._open: tuple[Case, Runner] | None = None
        self._lent = False
        self._samples: dict[tuple[Dataset, str], Sequence[Any]] = {}
        self._duplicates: dict[Dataset, int] = {}
        self._digests: dict[Dataset, str] = {}
        self._artifacts: dict[Case, Artifact] = {}
        self._facts: dict[Case, Mapping[str, Any]] = {}
        self._warmed_up: dict[Case, Cost] = {}
        self._failures: dict[Case, QuantbenchError] = {}

    def source(self, text: str) -> Artifact:
        """The files of a source, fetched and verified."""
        source = parse_source(text, self.settings.data)
        fetch = self._guarded(f"fetching {text.partition('#')[0]}", source.fetch)
        return self._store.get("source", source.ingredients(), fetch)

    def float_model(self, model: Model) -> Artifact:
        """What quantizers start from: the source's files, imported if they are foreign."""
        source = self.source(model.source)
        if model.importer is None:
            return source
        importer = resolve(find_importer(model.importer).code)()
        ingredients = {
            "source": source.sha256,
            "importer": model.importer,
            "version": importer.version,
            "detector": _imported_as(model.interface),
            "tools": _versions(importer.tools),
        }
        return self._store.get(
            "float_model",
            ingredients,
            self._guarded(
                f"importing {model.name}", lambda folder: importer.build(model, source.path, folder)
            ),
        )

    def artifact(self, case: Case) -> Artifact:
        """The quantized model, built and verified."""
        return self._once(case, self._artifacts, self._artifact)

    def _artifact(self, case: Case) -> Artifact:
        runner_for(case)  # refuses a device before any work is done for it
        float_model = self.float_model(case.model)
        quantizer = find_quantizer(case.scheme)
        calibrated = self._calibrated(case, quantizer)
        calibration = self._calibration(case) if calibrated else []
        if calibrated:
            self._check_enough(case, calibration)
        scheme, recipe = self._with_recipe(case)
        self._check_disjoint(case, calibration)
        seen = self._probes(case) if calibrated is None else calibration
        ingredients = {
            "float_model": _identity(case.model, float_model),
            "scheme": {k: v for k, v in asdict(scheme).items() if k != "recipe"},
            **recipe,
            "version": quantizer.version,
            "calibration": [sample.fingerprint for sample in seen],
            "tools": _versions(quantizer.tools),
        }
        if seen:  # what the quantizer sees is the samples as the task prepares them
            ingredients["protocol"] = self._protocol(case)

        def build(folder: Path) -> Mapping[str, Any]:
            prepared = self._prepared(case, self._probes(case) if calibrated is False else seen)
            facts = dict(quantizer.build(float_model.path, scheme, prepared, folder))
            return facts | ({"calibration_samples": len(calibration)} if calibration else {})

        return self._store.get("artifact", ingredients, self._guarded(f"building {case}", build))

    def _calibrated(self, case: Case, quantizer: Quantizer) -> bool | None:
        """What the quantizer says.

        Raises:
            UsageError: it does not calibrate, and the scheme asks for a draw of samples.
        """
        scheme = case.scheme
        with _explained(f"asking whether {scheme.quantizer} calibrates {scheme.name}", UsageError):
            calibrated = calibrates(quantizer, scheme)
        if scheme.seed and not calibrated:
            raise UsageError(
                f"{scheme.name} is not calibrated: a seed changes nothing",
                where=f"quantizer {scheme.quantizer}",
                got=f"seed {scheme.seed}",
            )
        return calibrated

    def _prepared(self, case: Case, samples: Sequence[Any]) -> list[Any]:
        task = self.task(case)
        prepared = []
        with self._progress.working(f"preparing samples for {case}", len(samples)) as advance:
            for sample in samples:
                prepared.append(task.prepare(sample))
                advance(1)
        return prepared

    def _probes(self, case: Case) -> Sequence[Any]:
        """A few samples to check an artifact with: of the calibration split, none evaluated.

        None at all where there is no such split, or where its files would have to be fetched.
        """
        source = case.dataset.calibration_source
        try:
            if source is not None and not self._at_hand(source):
                return []
            found = self.samples(case, "calibration")
        except (DataError, OutOfReachError):
            return []
        evaluated = {sample.digest for sample in self.samples(case, "evaluation")}
        return [sample for sample in found if sample.digest not in evaluated][:_PROBES]

    def _at_hand(self, text: str) -> bool:
        source = parse_source(text, self.settings.data)
        return isinstance(source, File) or self._store.has("source", source.ingredients())

    def _with_recipe(self, case: Case) -> tuple[Scheme, dict[str, str]]:
        """A mended scheme with its recipe's file, and the ingredient that it is; else as it is."""
        scheme = case.scheme
        if scheme.quantizer not in find_backend(scheme.backend).mendings:
            return scheme, {}
        if not scheme.recipe:
            scheme = replace(scheme, recipe=str(self.recipe(case).path / RECIPE))
        return scheme, {"recipe": sha256_of(Path(scheme.recipe))}

    def recipe(self, case: Case, gate: Gate | None = None) -> Artifact:
        """A recipe that passes the gate on the calibration split, searched; `recipe.json`.

        The first samples calibrate (64 give a detector's ranges), all others judge.

        Args:
            case: of a scheme that has a recipe.
            gate: the search's own where none is said.

        Raises:
            UsageError: there are too few samples to judge by.
        """
        mending = find_backend(case.scheme.backend).mendings[case.scheme.quantizer]
        gate = gate or mending.gate
        float_model = self.float_model(case.model)
        samples = self._read(case.dataset, "calibration", None)[: mending.most]
        self._check_disjoint(case, samples)
        self._check_samples(case, samples)
        quantizer = find_quantizer(case.scheme)
        ingredients = {
            "float_model": _identity(case.model, float_model),
            "samples": [sample.fingerprint for sample in samples],
            "protocol": self._protocol(case),
            "gate": asdict(gate),
            "version": [quantizer.version, mending.version],
            "tools": _versions(quantizer.tools),
        }

        def build(folder: Path) -> Mapping[str, Any]:
            found = resolve(mending.search)(
                float_model.path, self.task(case), samples, gate, self._progress, f"mending {case}"
            )
            (folder / RECIPE).write_text(found.as_json())
            return dict(found.notes)

        return self._store.get("recipe", ingredients, self._guarded(f"mending {case}", build))

    def runner(self, case: Case) -> Runner:
        """The opened artifact, kept open until another case asks for its own."""
        if self._open is None or self._open[0] != case:
            self.close()
            self._open = case, self._opened(case)
            self._facts[case] = self._open[1].facts()
        return self._open[1]

    @contextmanager
    def warmed(self, case: Case, prepared: Any) -> Iterator[Runner]:
        """The runner after a few predictions, whose peak memory and energy the record keeps.

        Inside the block it stays open, whatever else is asked for.

        Raises:
            PredictionError: a prediction failed, or the delegate that the artifact was built and
                checked with is not there: its times would be those of other kernels.
        """
        runner = self.runner(case)
        _check_delegated(case, self.artifact(case).details, self._facts[case])
        with _explained(f"running {case}", PredictionError):
            with peak_memory(case.device) as memory:
                for _ in range(_WARM_UP_CALLS):
                    runner.predict(prepared)
            joules = joules_of(lambda: runner.predict(prepared), case.device)
        self._warmed_up[case] = Cost(memory.peak_rss_bytes, memory.peak_device_bytes, joules)
        self._lent = True
        try:
            yield runner
        finally:
            self._lent = False

    def _opened(self, case: Case) -> Runner:
        artifact = self.artifact(case)
        opener: Callable[..., Runner] = runner_for(case)
        with _explained(f"opening {case}", PredictionError):
            return opener(artifact.path, self._machine(case))

    def _machine(self, case: Case) -> Machine:
        return Machine(self.settings.threads, case.device)

    @contextmanager
    def _borrowed(self, case: Case) -> Iterator[Callable[[], Runner]]:
        """Opens the case's runner when it is first needed.

        Two models are open at once only where a test holds one while another case is evaluated.
        """
        if not self._lent or (self._open is not None and self._open[0] == case):
            yield lambda: self.runner(case)
            return
        with ExitStack() as opened:
            yield cache(lambda: opened.enter_context(closing(self._opened(case))))

    def evidence(self, case: Case, looks: int | None = None) -> Evidence:
        """Rows for every evaluated sample, or those of the first so many blocks.

        Predicted once for this artifact, shard by shard: what a killed run had finished stands.

        Raises:
            IntegrityError: what the store gives was predicted by another artifact.
        """
        runner = self._runner_identity(case)
        samples = self.samples(case, "evaluation")
        self._check_samples(case, samples)
        artifact = self.artifact(case)
        shards = []
        cut = blocks(len(samples), growing=self.settings.sequential)[:looks]
        parts = [[samples[i] for i in block] for block in cut]
        advance: Callable[[int], None] | None = None
        with self._borrowed(case) as opened, ExitStack() as watched:

            def predict(i: int, folder: Path) -> Mapping[str, Any]:
                nonlocal advance
                what = f"evaluating {case}"
                if advance is None:  # the first block that the store does not have
                    left = sum(map(len, parts[i:]))
                    advance = watched.enter_context(self._progress.working(what, left))
                if len(cut) > 1:
                    what += f", samples {cut[i].start} to {cut[i].stop} of {len(samples)}"
                with _explained(what, PredictionError):
                    return self._predicted(case, parts[i], opened, folder, advance)

            for i, part in enumerate(parts):
                ingredients = {
                    "artifact": artifact.sha256,
                    "samples": [[sample.id, sample.fingerprint] for sample in part],
                    "protocol": self._protocol(case),
                    "runner": runner,
                }
                shards.append(self._store.get("evidence", ingredients, partial(predict, i)))
                _check_predicted_by(case, artifact, shards[-1])
        return Evidence(tuple(shards))

    def _runner_identity(self, case: Case) -> list[Any]:
        """What of a runner decides over its answers."""
        runner = runner_for(case)
        return [case.scheme.backend, runner.variant(self._machine(case)), _versions(runner.tools)]

    def _check_samples(self, case: Case, samples: Sequence[Any]) -> None:
        """Let the task refuse samples that it could not judge."""
        if (check := getattr(self.task(case), "check", None)) is not None:
            with _explained(f"checking the samples of {case.dataset.name}", DataError):
                check(samples)

    def _predicted(
        self,
        case: Case,
        samples: Sequence[Any],
        opened: Callable[[], Runner],
        folder: Path,
        advance: Callable[[int], None],
    ) -> Mapping[str, Any]:
        """Write the rows of these samples."""
        task, runner = self.task(case), opened()
        tokens = 0

        def prepare(sample: Any) -> Any:
            nonlocal tokens
            prepared = task.prepare(sample)
            tokens += len(getattr(prepared, "tokens", ()))
            return prepared

        with peak_memory(case.device) as memory, (folder / ROWS).open("w") as file:
            facts = dict(runner.facts())
            started = time.perf_counter()
            # Streamed: a data set's images need not fit in memory. While one sample is
            # predicted, the next is prepared and the last one's answer is read.
            with closing(ahead(prepare, ((sample,) for sample in samples))) as prepared:
                answered = zip(samples, runner.predict_all(prepared), strict=True)
                with closing(ahead(task.evidence, answered)) as rows:
                    for row in rows:
                        file.write(json.dumps(row, allow_nan=False) + "\n")
                        advance(1)
            predict_s = time.perf_counter() - started
        # What was not evaluated as it is stored says nothing about its memory.
        as_stored = facts.get("evaluated_as", "stored") == "stored"
        return {
            "predict_s": round(predict_s, 3),
            "tokens": tokens,
            "peak_rss_bytes": memory.peak_rss_bytes if as_stored else None,
            "peak_device_bytes": memory.peak_device_bytes if as_stored else None,
            "runner": facts,
            "artifact": self.artifact(case).sha256,
        }

    def task(self, case: Case) -> Task:
        """The case's task, on the model's own tokenizer or detector."""
        made: Task = find_task(case.task)(case.model, self.float_model(case.model).path)
        return made

    def _protocol(self, case: Case) -> dict[str, Any]:
        """How samples become inputs, and predictions rows: part of every key they touch."""
        task = find_task(case.task)
        return {
            "task": case.task,
            "version": task.version,
            "tools": _versions(task.tools),
            "model": task.identity(case.model),
        }

    def samples(self, case: Case, split: str) -> Sequence[Any]:
        """The case's samples of a split; the last data set's are kept in memory.

        Evaluated samples are of different content (`data/distinct.py`).

        Raises:
            DataError: there are none, or two that contradict each other.
        """
        dataset = self._grouped(case.dataset)
        if (dataset, split) not in self._samples:
            if any(known != dataset for known, _ in self._samples):
                self._samples.clear()
            wanted = self.settings.samples
            n = dataset.default_n if wanted is None else wanted or None
            n = dataset.calibration_n if split == "calibration" else n
            found = (
                self._read(dataset, split, n)
                if split == "calibration"
                else self._distinct(dataset, n)
            )
            if self.settings.sequential and split == "evaluation":
                # Samples of a data set may come in any order: a stop must not depend on it.
                found = shuffled(
                    found, np.random.default_rng(SEED), self._groups_of(dataset, found)
                )
            self._samples[dataset, split] = found
        return self._samples[dataset, split]

    def groups(self, case: Case) -> Sequence[str] | None:
        """The group of each evaluated sample, in their order; None where they have none.

        Raises:
            DataError: some have one and some have not.
        """
        return self._groups_of(case.dataset, self.samples(case, "evaluation"))

    def _grouped(self, dataset: Dataset) -> Dataset:
        """The data set as `--quant-group` wants it."""
        field = self.settings.group
        return dataset if field in {None, "none"} else grouped_by(dataset, str(field))

    def _groups_of(self, dataset: Dataset, samples: Sequence[Any]) -> Sequence[str] | None:
        if self.settings.group == "none":
            return None
        with _explained(f"grouping the samples of {dataset.name}", DataError):
            return groups_of(samples)

    def duplicates(self, case: Case) -> int:
        """Samples that were left out because one before them has the same content."""
        self.samples(case, "evaluation")
        return self._duplicates[self._grouped(case.dataset)]

    def _distinct(self, dataset: Dataset, n: int | None) -> Sequence[Any]:
        """As many different samples as were asked for, where the data set has them."""
        found = self._read(dataset, "evaluation", n)
        with _explained(f"reading the samples of {dataset.name}", DataError):
            kept = distinct(found, n)
            if kept.left_out and len(found) == n:  # there may be more
                every = distinct(self._read(dataset, "evaluation", None), n)
                kept = max(kept, every, key=lambda each: len(each.samples))
        self._duplicates[dataset] = kept.left_out
        return kept.samples

    def _read(self, dataset: Dataset, split: str, n: int | None) -> Sequence[Any]:
        sources = {"evaluation": dataset.source}
        if split == "calibration":
            sources["calibration"] = dataset.calibration_source
        files = {purpose: self._located(text) for purpose, text in sources.items() if text}
        if n is not None and n < 0:
            raise UsageError(
                f"{dataset.name} asks for a negative number of {split} samples",
                where="default_n" if split == "evaluation" else "calibration_n",
                got=n,
            )
        with _explained(f"reading the samples of {dataset.name}", DataError):
            found = dataset.samples(files, split, n)
        if not found:
            raise DataError(f"{dataset.name} has no {split} samples")
        return found

    def _calibration(self, case: Case) -> Sequence[Any]:
        """The samples that the scheme's seed draws.

        Raises:
            UsageError: the data set has no others to draw from.
        """
        first = self.samples(case, "calibration")
        if case.scheme.seed == 0:
            return first
        every = self._read(case.dataset, "calibration", None)
        if len(every) <= len(first):
            raise UsageError(
                f"{case.scheme.name} asks for another draw of calibration samples",
                where=case.dataset.name,
                expected=f"more than {len(first)} samples to draw from",
                got=len(every),
            )
        drawn = np.random.default_rng(case.scheme.seed).permutation(len(every))[: len(first)]
        return [every[i] for i in drawn]

    def _digest(self, case: Case) -> str:
        """Of all evaluated samples, hashed once for all cases of a data set."""
        if case.dataset not in self._digests:
            samples = self.samples(case, "evaluation")
            # Sorted: a sequential run sees the same samples in another order.
            listed = sorted([sample.id, sample.fingerprint] for sample in samples)
            self._digests[case.dataset] = digest_of(listed)
        return self._digests[case.dataset]

    def sample(self, case: Case) -> Any:
        """The first evaluation sample, prepared for the model."""
        first = self.samples(case, "evaluation")[0]
        with _explained(f"preparing {first.id} for {case}", DataError):
            return self.task(case).prepare(first)

    def close(self) -> None:
        """Close the open runner."""
        if self._open is not None:
            self._open[1].close()
            self._open = None

    def _located(self, text: str) -> Path:
        """A data set's file or folder; what is on this disk already is read where it is."""
        source = parse_source(text, self.settings.data)
        if isinstance(source, File):
            source.check()
            return source.path
        return self.source(text).path

    def _check_enough(self, case: Case, calibration: Sequence[Any]) -> None:
        """Ranges out of a picture or two say nothing, unless the data set says it has no more."""
        if len(calibration) < min(case.dataset.calibration_n, _FEWEST):
            raise DataError(
                f"{case} would be calibrated on too few samples",
                where=case.dataset.name,
                expected=f"{case.dataset.calibration_n}, at least {_FEWEST}",
                got=len(calibration),
                remedy="add calibration samples, or describe the data set with fewer: "
                f"calibration_n={len(calibration)}",
            )

    def _check_disjoint(self, case: Case, calibration: Sequence[Any]) -> None:
        if not calibration:
            return
        evaluated = {sample.digest: sample.id for sample in self.samples(case, "evaluation")}
        shared = [sample.id for sample in calibration if sample.digest in evaluated]
        if shared:
            raise DataError(
                f"{case} would be calibrated on samples that it is evaluated on",
                where=case.dataset.name,
                expected="no shared content",
                got=f"{len(shared)} shared, first {shared[0]}",
                remedy="take calibration samples from another split",
            )

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

    def _guarded(
        self,
        what: str,
        build: Callable[[Path], Mapping[str, Any] | None],
    ) -> Callable[[Path], Mapping[str, Any] | None]:
        def guarded(folder: Path) -> Mapping[str, Any] | None:
            with self._progress.working(what), _explained(what, BuildError):
                return build(folder)

        return guarded


def _check_delegated(case: Case, built: Mapping[str, Any], opened: Mapping[str, Any]) -> None:
    delegate, now = built.get("delegate", "none"), opened.get("delegate", "none")
    # A runtime that refuses the model says so in the facts, and is one that people have.
    if delegate not in {"none", now} and "delegate_refused" not in opened:
        raise PredictionError(
            f"{case} would be timed on other kernels than it was built and checked with",
            expected=f"{delegate}, which took {built.get('delegated_ops')} of {built.get('ops')} "
            "ops when it was built",
            got=f"delegate {now}",
            remedy="time it where the runtime has its delegate, opened with its defaults",
        )


def _check_predicted_by(case: Case, artifact: Artifact, shard: Artifact) -> None:
    """Rows say by which artifact they were predicted; those of earlier versions do not."""
    by = shard.details.get("artifact", artifact.sha256)
    if by != artifact.sha256:
        raise IntegrityError(
            f"the evidence of {case} is that of another artifact",
            where=shard.path,
            expected=f"rows predicted by sha256 {artifact.sha256[:12]}",
            got=f"rows predicted by sha256 {by[:12]}",
            remedy="report it, and take another cache folder (--quant-cache DIR): "
            "evidence must be kept under its artifact's digest",
        )


def _identity(model: Model, float_model: Artifact) -> str:
    """Of files as they came the content, of imported ones what they were made from.

    A second import may differ in its last bits.
    """
    return float_model.key if model.importer else float_model.sha256


_IMPORTED = ("size", "layout", "value_range", "mean", "std", "outputs")


def _imported_as(interface: Any) -> dict[str, Any] | None:
    """What importers read of a model's interface."""
    if interface is None:
        return None
    return {name: value for name, value in asdict(interface).items() if name in _IMPORTED}


@contextmanager
def _explained(what: str, kind: type[QuantbenchError]) -> Iterator[None]:
    """Put what a dependency raises into quantbench's words.

    What the operating system refuses while something is written is the store's to explain.
    """
    try:
        yield
    except QuantbenchError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in REFUSED:
            raise
        if isinstance(error, ModuleNotFoundError) and (lack := missing_extra(error.name)):
            raise lack from error
        raise kind(
            f"{what} failed",
            got=f"{type(error).__name__}: {error}",
            remedy=MORE_MEMORY
            if is_out_of_memory(error)
            else "the traceback above this error is the tool's own",
        ) from error


def _versions(tools: Sequence[str]) -> dict[str, str]:
    try:
        return {tool: version(tool) for tool in tools}
    except PackageNotFoundError as error:
        if lack := missing_extra(error.name):
            raise lack from error
        raise
