"""Samples of the cases of a run: read, checked, drawn and remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.core.digests import digest_of
from quantbench.data.distinct import distinct
from quantbench.data.groups import grouped_by, groups_of, shuffled
from quantbench.errors import DataError, OutOfReachError, UsageError
from quantbench.run.context import explained
from quantbench.run.steps.resolve import at_hand, located
from quantbench.stats.bootstrap import SEED
from quantbench.study.registry import find_task

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from quantbench.protocols import Dataset, Task
    from quantbench.run.context import Context
    from quantbench.study import Case

_FEWEST = 10  # samples that calibrate, where a data set does not say that it has fewer
_PROBES = 3  # samples that an artifact is checked with where none calibrate it


class Samples:
    """Reads the samples of data sets; the last data set's are kept in memory.

    A task may divide a data set's samples into others (`Task.divided`): of them all is said here.
    """

    def __init__(self, context: Context, task: Callable[[Case], Task]) -> None:
        """Read nothing yet; `task` makes a case's task, where it divides samples."""
        self._context, self._task = context, task
        self._dividing: dict[str, bool] = {}
        self._kept: dict[tuple[Dataset, Hashable, str], Sequence[Any]] = {}
        self._duplicates: dict[tuple[Dataset, Hashable], int] = {}
        self._digests: dict[tuple[Dataset, Hashable], str] = {}

    def of(self, case: Case, split: str) -> Sequence[Any]:
        """The case's samples of a split.

        Evaluated samples are of different content (`data/distinct.py`).

        Raises:
            DataError: there are none, or two that contradict each other.
        """
        dataset, by = self._key(case)
        settings = self._context.settings
        if (dataset, by, split) in self._kept:
            return self._kept[dataset, by, split]
        if any(known != dataset for known, *_ in self._kept):
            self._kept.clear()
        if split == "calibration":
            found = self.read(case, split, dataset.calibration_n)
        else:
            wanted = settings.samples
            found = self._distinct(case, dataset.default_n if wanted is None else wanted or None)
            if settings.sequential:
                # Samples of a data set may come in any order: a stop must not depend on it.
                groups = self._groups_of(dataset, found)
                found = shuffled(found, np.random.default_rng(SEED), groups)
        self._kept[dataset, by, split] = found
        return found

    def _key(self, case: Case) -> tuple[Dataset, Hashable]:
        """What samples are kept by: what they are divided into may depend on the float model."""
        dataset = self._grouped(case.dataset)
        return dataset, (case.model, case.scheme.backend) if self._divides(case.task) else None

    def _divides(self, task: str) -> bool:
        if task not in self._dividing:
            self._dividing[task] = hasattr(find_task(task), "divided")
        return self._dividing[task]

    def groups(self, case: Case) -> Sequence[str] | None:
        """The group of each evaluated sample, in their order; None where they have none.

        Raises:
            DataError: some have one and some have not.
        """
        return self._groups_of(case.dataset, self.of(case, "evaluation"))

    def duplicates(self, case: Case) -> int:
        """Samples that were left out because one before them has the same content."""
        self.of(case, "evaluation")
        return self._duplicates[self._key(case)]

    def digest(self, case: Case) -> str:
        """Of all evaluated samples, hashed once for all cases that have the same ones."""
        key = self._key(case)
        if key not in self._digests:
            samples = self.of(case, "evaluation")
            # Sorted: a sequential run sees the same samples in another order.
            listed = sorted([sample.id, sample.fingerprint] for sample in samples)
            self._digests[key] = digest_of(listed)
        return self._digests[key]

    def calibrating(self, case: Case) -> Sequence[Any]:
        """The calibration samples that the scheme's seed draws.

        Raises:
            UsageError: the data set has no others to draw from.
            DataError: there are too few, unless the data set says it has no more.
        """
        found = self._drawn(case)
        if len(found) < min(case.dataset.calibration_n, _FEWEST):
            raise DataError(
                f"{case} would be calibrated on too few samples",
                where=case.dataset.name,
                expected=f"{case.dataset.calibration_n}, at least {_FEWEST}",
                got=len(found),
                remedy="add calibration samples, or describe the data set with fewer: "
                f"calibration_n={len(found)}",
            )
        return found

    def _drawn(self, case: Case) -> Sequence[Any]:
        first = self.of(case, "calibration")
        if case.scheme.seed == 0:
            return first
        every = self.read(case, "calibration", None)
        if len(every) <= len(first):
            raise UsageError(
                f"{case.scheme.name} asks for another draw of calibration samples",
                where=case.dataset.name,
                expected=f"more than {len(first)} samples to draw from",
                got=len(every),
            )
        drawn = np.random.default_rng(case.scheme.seed).permutation(len(every))[: len(first)]
        return [every[i] for i in drawn]

    def learned(self, case: Case, besides: Sequence[Any], most: int) -> Sequence[Any]:
        """The first samples to train on, with other content than those `besides`.

        Of the training split of a data set that has one, else of the calibration split. In the form of evaluated ones, where the data set knows how (`Dataset.as_evaluated`).
        """
        known = {sample.digest for sample in besides}
        found: list[Any] = []
        as_evaluated = getattr(case.dataset, "as_evaluated", lambda sample: sample)
        own: int | None = getattr(case.dataset, "training_n", None)
        for sample in self.read(case, "calibration" if own is None else "training", own):
            if sample.digest not in known and len(found) < most:
                known.add(sample.digest)
                found.append(as_evaluated(sample))
        return found

    def probes(self, case: Case) -> Sequence[Any]:
        """A few samples to check an artifact with: of the calibration split, none evaluated.

        None at all where there is no such split, or where its files would have to be fetched.
        """
        source = case.dataset.calibration_source
        try:
            if source is not None and not at_hand(self._context, source):
                return []
            found = self.of(case, "calibration")
        except (DataError, OutOfReachError):
            return []
        evaluated = {sample.digest for sample in self.of(case, "evaluation")}
        return [sample for sample in found if sample.digest not in evaluated][:_PROBES]

    def check_disjoint(
        self, case: Case, calibration: Sequence[Any], does: str = "be calibrated on"
    ) -> None:
        """Refuse to calibrate, or to learn from, what is evaluated.

        Raises:
            DataError: a sample of the same content is in both.
        """
        if not calibration:
            return
        evaluated = {sample.digest: sample.id for sample in self.of(case, "evaluation")}
        shared = [sample.id for sample in calibration if sample.digest in evaluated]
        if shared:
            raise DataError(
                f"{case} would {does} samples that it is evaluated on",
                where=case.dataset.name,
                expected="no shared content",
                got=f"{len(shared)} shared, first {shared[0]}",
                remedy="take calibration samples from another split",
            )

    def read(self, case: Case, split: str, n: int | None) -> Sequence[Any]:
        """The first n of the case's samples of a split (None: all), read anew.

        Raises:
            UsageError: n is negative.
            DataError: there are none, or they cannot be read.
        """
        dataset = self._grouped(case.dataset)
        sources = {"evaluation": dataset.source}
        if split != "evaluation":
            sources["calibration"] = dataset.calibration_source
        files = {purpose: located(self._context, text) for purpose, text in sources.items() if text}
        if n is not None and n < 0:
            raise UsageError(
                f"{dataset.name} asks for a negative number of {split} samples",
                where="default_n" if split == "evaluation" else "calibration_n",
                got=n,
            )
        with explained(f"reading the samples of {dataset.name}", DataError):
            if self._divides(case.task):
                task: Any = self._task(case)
                found: Sequence[Any] = task.divided(dataset.samples(files, split, None), n)
            else:
                found = dataset.samples(files, split, n)
        if not found:
            raise DataError(f"{dataset.name} has no {split} samples")
        return found

    def _grouped(self, dataset: Dataset) -> Dataset:
        """The data set as `--quant-group` wants it."""
        field = self._context.settings.group
        return dataset if field in {None, "none"} else grouped_by(dataset, str(field))

    def _groups_of(self, dataset: Dataset, samples: Sequence[Any]) -> Sequence[str] | None:
        if self._context.settings.group == "none":
            return None
        with explained(f"grouping the samples of {dataset.name}", DataError):
            return groups_of(samples)

    def _distinct(self, case: Case, n: int | None) -> Sequence[Any]:
        """As many different samples as were asked for, where the data set has them."""
        found = self.read(case, "evaluation", n)
        with explained(f"reading the samples of {case.dataset.name}", DataError):
            kept = distinct(found, n)
            if kept.left_out and len(found) == n:  # there may be more
                every = distinct(self.read(case, "evaluation", None), n)
                kept = max(kept, every, key=lambda each: len(each.samples))
        self._duplicates[self._key(case)] = kept.left_out
        return kept.samples
