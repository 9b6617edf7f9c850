"""What each step takes: by its backend's numbers, corrected by what this machine took before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from statistics import median
from typing import TYPE_CHECKING

from quantbench.core.plugins import resolve
from quantbench.measure.rates import rate_in
from quantbench.protocols import PREDICT, Rate
from quantbench.run.planning.plan import Need
from quantbench.run.planning.weighing import counted, described, needs_of
from quantbench.study.registry import backends, find_task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from quantbench.run.planning.learning import Seen
    from quantbench.run.planning.looking import Found
    from quantbench.study import Case, Scheme, Weights

COUNT = "count"  # of a task's rates: rows to metrics
_HERE, _NOBODY = "measured here", "unknown: never done here"


@dataclass(frozen=True)
class Work:
    """What a step works on.

    Attributes:
        step: as `Rate`s are named.
        of: the scheme's name, "" of an importer.
        parameters: of the float model.
        samples: that it takes.
        size: of a sample, in pixels or tokens.
    """

    step: str
    of: str
    parameters: int
    samples: int = 0
    size: float = 1.0


def seconds_of(work: Work, shipped: Rate | None, seen: Sequence[Seen]) -> tuple[float | None, str]:
    """How long a step takes, and what that rests on.

    The backend's own line, times how much slower or faster this machine was than it where it did
    the step before: under this scheme and on as many weights, else under this scheme, else under
    any. Without a line, seconds are proportional to weights, of predictions to weights times
    samples times size.
    """
    line = shipped or (
        Rate(sample_s=1.0) if work.step == PREDICT else Rate(parameter_s=1.0)
    )  # fmt: skip
    alike = [each for each in seen if each.step == work.step and each.seconds > 0]
    for chosen in (
        [e for e in alike if e.of == work.of and e.parameters == work.parameters],
        [e for e in alike if e.of == work.of],
        alike,
    ):
        took = [(e.seconds, line.seconds(e.parameters, e.samples, e.size)) for e in chosen]
        ratios = [real / meant for real, meant in took if meant > 0]
        if ratios:
            known = line.seconds(work.parameters, work.samples, work.size)
            return known * median(ratios), _HERE
    if shipped is None:
        return None, _NOBODY
    return shipped.seconds(work.parameters, work.samples, work.size), shipped.measured


class Estimating:
    """Numbers for the steps that are not done. Create one per plan."""

    def __init__(self, seen: Sequence[Seen], sizes: Callable[[str], int | None]) -> None:
        """Take what was learned.

        Args:
            seen: steps that this machine has done.
            sizes: bytes of a source that is not here, by its text; None where nobody knows.
        """
        self._seen, self._sizes = seen, sizes

    def needs(self, case: Case, found: Found) -> Iterator[Need]:
        """Of each step of a case that is not done."""
        weights = counted(found.float_files) if found.float_files else described(case.model)
        for text, files in found.files.items():
            copies = text == case.model.source and not found.copied
            if (need := self._fetched(text, files, weights, copies=copies)) is not None:
                yield need
        for number, (name, each) in enumerate(found.importers):
            if number >= found.imported:
                need, weights = self._imported(case, name, each.writes, weights)
                yield need
        if not found.built:
            yield self._built(case, found, weights)
        if found.samples is None or found.predicted < found.samples:
            yield self._predicted(case, found, weights)
        if not found.counted:
            yield self._counted(case, found)

    def _fetched(
        self, text: str, files: tuple[Path, ...], weights: Weights | None, *, copies: bool
    ) -> Need | None:
        """A source that is not here; of a model's file on this disk, its copy in the store."""
        words = text.partition("#")[0]
        if words.startswith("random:"):
            return None
        if words.startswith(("file:", "data:")):
            size: float | None = sum(path.stat().st_size for path in files) if files else None
            if files and not copies:
                return None
            return Need(kind="fetch", what=text, words=words, disk_bytes=size)
        if files:
            return None
        size = self._sizes(text)
        if size is None and copies and weights is not None:
            size = weights.stored_bytes
        # A hub's client keeps what it fetched in a cache of its own, beside the store's copy.
        twice = 2 if words.startswith(("hf:", "kaggle:")) else 1
        disk = None if size is None else size * twice
        return Need(kind="fetch", what=text, words=words, fetch_bytes=size, disk_bytes=disk)

    def _imported(
        self, case: Case, name: str, writes: str, weights: Weights | None
    ) -> tuple[Need, Weights | None]:
        """Of an importer, and the weights as it writes them."""
        rate = _importer_rate(name, case.scheme)
        need = self._step("import", case, Work(name, "", _count(weights)), rate, weights)
        written = rate.written_bytes if rate is not None else None
        if weights is None or written is None:
            after = replace(weights, stored_bits=None) if weights is not None else None
            return replace(need, disk_bytes=None, words=f"{name} ({writes})"), after
        after = replace(weights, stored_bits=written * 8)
        need = replace(need, disk_bytes=after.stored_bytes, what=f"{case.model.name} {name}")
        return need, after

    def _built(self, case: Case, found: Found, weights: Weights | None) -> Need:
        scheme, needs = case.scheme, needs_of(case.scheme.backend)
        work = Work(
            scheme.quantizer, scheme.name, _count(weights), found.calibrating or 0, _size(case)
        )
        rate = _rate(scheme.backend, scheme.quantizer, scheme)
        need = self._step("build", case, work, rate, weights)
        size = None
        if needs is not None and weights is not None:
            size = needs.artifact_bytes(scheme, weights)
        if size is None:
            same = [
                s for s in self._seen if s.of == scheme.name and s.parameters == work.parameters
            ]
            size = same[0].written_bytes if same and same[0].step == scheme.quantizer else None
        return replace(need, what=f"{case.model.name} {scheme.name}", disk_bytes=size)

    def _predicted(self, case: Case, found: Found, weights: Weights | None) -> Need:
        left = (found.samples or 0) - found.predicted
        work = Work(PREDICT, case.scheme.name, _count(weights), left, _size(case))
        rate = _rate(case.scheme.backend, PREDICT, case.scheme)
        need = self._step("predict", case, work, rate, weights)
        rows = _task_rate(case.task)
        disk = None if rows is None or rows.written_bytes is None else rows.written_bytes * left
        if found.samples is None:
            need = replace(need, seconds=None, rests_on="unknown: how many samples")
            disk = None
        return replace(need, what=str(case), disk_bytes=disk)

    def _counted(self, case: Case, found: Found) -> Need:
        rate = _task_rate(case.task)
        known = rate is not None and found.samples is not None
        return Need(
            kind="count",
            what=str(case),
            words=f"metrics of {case.scheme.name}",
            seconds=rate.seconds(0, found.samples or 0) if rate and known else None,
            memory_bytes=0,
            disk_bytes=0,
            rests_on=rate.measured if rate else _NOBODY,
        )

    def _step(
        self, kind: str, case: Case, work: Work, rate: Rate | None, weights: Weights | None
    ) -> Need:
        """What any step of frameworks takes besides the disk."""
        words = work.of or work.step
        if weights is None:
            return Need(
                kind=kind, what=f"{case.model.name} {words}", words=words, disk_bytes=None,  # type: ignore[arg-type]
                memory_bytes=None, seconds=None, rests_on="unknown: how many weights",
            )  # fmt: skip
        seconds, rests_on = seconds_of(work, rate, self._seen)
        memory = rate.peak_bytes(weights.parameters) if rate is not None else self._peak(work)
        device = 0.0
        if case.device == "cuda" and kind != "import":
            device = rate.parameter_bytes * weights.parameters if rate is not None else 0.0
        return Need(
            kind=kind, what=f"{case.model.name} {words}", words=words, memory_bytes=memory,  # type: ignore[arg-type]
            device_bytes=device, seconds=seconds, rests_on=rests_on,
        )  # fmt: skip

    def _peak(self, work: Work) -> float | None:
        """Where a backend says nothing: what the same step took here on as many weights."""
        same = [
            each.peak_bytes
            for each in self._seen
            if (each.step, each.of, each.parameters) == (work.step, work.of, work.parameters)
            and each.peak_bytes is not None
        ]
        return max(same, default=None)


def _count(weights: Weights | None) -> int:
    return 0 if weights is None else weights.parameters


def _rate(backend: str, step: str, scheme: Scheme) -> Rate | None:
    needs = needs_of(backend) if backend else None
    return needs.rate(step, scheme) if needs is not None else None


def _importer_rate(name: str, scheme: Scheme) -> Rate | None:
    """As its backend says it; of a model's own importer as that says it itself."""
    owner = next((each.name for each in backends().values() if name in each.importers), "")
    if owner or ":" not in name:
        return _rate(owner, name, scheme)
    path = getattr(resolve(name), "rates", None)
    return rate_in(path, name.partition(":")[2]) if path is not None else None


def _task_rate(task: str) -> Rate | None:
    """Seconds from a row to its metrics, and bytes of a row, as the task says them."""
    path = getattr(find_task(task), "rates", None)
    return rate_in(path, COUNT) if path is not None else None


def _size(case: Case) -> float:
    """Pixels of the model's input, or tokens of the data set's texts; 1 where nobody says."""
    size = getattr(case.model.interface, "size", None)
    if size:
        return float(prod(size))
    return float(getattr(case.dataset, "tokens", 1.0))
