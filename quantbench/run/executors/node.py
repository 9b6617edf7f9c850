"""What runs on a node: a step, by a session of the node's own over the node's own store."""

from __future__ import annotations

import logging
import os
import platform
import traceback
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from quantbench import errors
from quantbench.core.places import parse_place
from quantbench.core.settings import Machine
from quantbench.errors import BuildError, PredictionError, QuantbenchError
from quantbench.measure.machines import kind_in_words, machine_kind
from quantbench.protocols import Step
from quantbench.run.executors.bundles import land, packed
from quantbench.run.executors.performing import Watched, perform
from quantbench.run.session import Session
from quantbench.store.artifacts import default_root
from quantbench.study.registry import runner_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from quantbench.core.settings import Device, Settings
    from quantbench.protocols import StepKind
    from quantbench.run.executors.bundles import Bundle
    from quantbench.study import Case

_SAID = 20  # lines of a step's log that an error keeps


@dataclass(frozen=True)
class Setup:
    """What every step of a run is done with; it travels once.

    Attributes:
        settings: of the driver.
        cases: whose steps are done: an order says which by its number.
        folder: the driver's working directory, which relative paths start at.
        root: the driver's store, on the driver's host.
        host: of the driver.
    """

    settings: Settings
    cases: tuple[Case, ...]
    folder: str
    root: str
    host: str


@dataclass(frozen=True)
class Input:
    """An entry that a step starts from.

    Attributes:
        kind: of the entry.
        key: of the entry.
        sha256: of its files: an entry of this key that was built elsewhere may have others.
        holder: position among what came along of the bundles that have it; None where the node is
            known to have it.
    """

    kind: str
    key: str
    sha256: str
    holder: int | None


@dataclass(frozen=True)
class Task:
    """A step as it travels."""

    kind: StepKind
    case: int
    start: int
    stop: int
    threads: int
    inputs: tuple[Input, ...] = ()
    placed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """An error as it travels: words alone, for classes may be unknown at the other end."""

    kind: str
    what: str
    parts: Mapping[str, str]
    said: str

    def as_error(self) -> QuantbenchError:
        """The same error, with what the node said of it as a note."""
        kind = getattr(errors, self.kind, PredictionError)
        parts = {("remedy" if name == "next" else name): text for name, text in self.parts.items()}
        error: QuantbenchError = kind(self.what, **parts)
        error.add_note(self.said)
        return error


@dataclass(frozen=True)
class Answer:
    """How a step ended.

    Attributes:
        bundles: the entries that it made, unless the node shares the driver's store.
        failure: what it raised.
        lacking: keys of inputs that neither came along nor are in the node's store.
    """

    bundles: tuple[Bundle, ...] = ()
    failure: Failure | None = None
    lacking: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hello:
    """What a node says of itself.

    Attributes:
        host: name of the machine.
        kinds: by device.
        variants: by backend and device.
        shares: it works on the driver's own store.
    """

    host: str
    kinds: Mapping[str, str]
    variants: Mapping[tuple[str, str], str]
    shares: bool


def hello(token: str, read: Callable[[], Setup], *, gpus: float) -> Hello:
    """What this node is, for the cases of a run; `read` gives their setup."""
    setup = _setup(token, read)
    devices: tuple[Device, ...] = ("cpu", "cuda") if gpus else ("cpu",)
    variants: dict[tuple[str, str], str] = {}
    for case in setup.cases:
        place = case.scheme.backend, case.device
        if case.device in devices and place not in variants:
            with suppress(QuantbenchError):  # it cannot run these
                machine = Machine(setup.settings.threads, case.device)
                variants[place] = runner_for(case).variant(machine)
    kinds: dict[str, str] = {device: kind_in_words(machine_kind(device)) for device in devices}
    return Hello(platform.node(), kinds, variants, _shares(setup))


def do(
    token: str,
    read: Callable[[], Setup],
    task: Task,
    fetch: Callable[[int], Sequence[Bundle]],
) -> Answer:
    """Do a step.

    Args:
        token: names the run.
        read: gives its setup; called once in a process.
        task: the step.
        fetch: gives the bundles that came along, by their position.
    """
    worker = _worker(token, _setup(token, read), task.threads)
    if lacking := worker.take_in(task.inputs, fetch):
        return Answer(lacking=tuple(lacking))
    worker.placed.update(task.placed)
    step = Step(task.kind, worker.setup.cases[task.case], task.start, task.stop)
    with _heard() as said:
        try:
            made = worker.made(step, {each.key for each in task.inputs})
        except Exception as error:  # noqa: BLE001 - whatever it is, the driver is told
            return Answer(failure=_failure(step, error, said))
    return Answer(bundles=() if worker.shares else made)


class _Worker:
    """A session of this process, which keeps the last model open for the next step."""

    def __init__(self, setup: Setup, threads: int) -> None:
        if Path(setup.folder).is_dir():
            os.chdir(setup.folder)
        root, data = _root(), os.environ.get("QUANTBENCH_DATA")
        self.setup, self.shares = setup, _shares(setup)
        self.placed: dict[str, str] = {}
        self._store = Watched(root)
        self._made: dict[Step, list[tuple[str, str]]] = {}
        settings = replace(
            setup.settings,
            cache=root,
            remote=None, data=Path(data) if data else setup.settings.data, baseline=None,
            threads=threads, alone=False, executor="local",
        )  # fmt: skip
        self._session = Session(settings, store=self._store, placed=self.placed)

    def take_in(
        self, inputs: Sequence[Input], fetch: Callable[[int], Sequence[Bundle]]
    ) -> list[str]:
        """Put into the store what it does not have yet; keys of what did not come along."""
        lacking = []
        for each in inputs:
            if self._has(each):
                continue
            found = () if each.holder is None else fetch(each.holder)
            bundle = next((bundle for bundle in found if bundle.key == each.key), None)
            if bundle is None:
                lacking.append(each.key)
                continue
            landed = land(self._store, bundle)
            if landed.sha256 != each.sha256:  # built here before, in other bytes
                self._store.remove(each.kind, each.key)
                landed = land(self._store, bundle)
            self._store.used[each.kind, each.key] = landed
        return lacking

    def _has(self, wanted: Input) -> bool:
        known = self._store.used.get((wanted.kind, wanted.key))
        if known is None or not known.path.exists():
            known = self._store.find(wanted.kind, wanted.key)
        if known is None or known.sha256 != wanted.sha256:
            return False
        self._store.used[wanted.kind, wanted.key] = known
        return True

    def made(self, step: Step, given: set[str]) -> tuple[Bundle, ...]:
        """Do the step; the entries that it asked for and was not given."""
        self._store.asked.clear()
        perform(self._session, step)
        # Done again, because its answer was lost, a session asks for nothing: it remembers.
        entries = list(self._store.asked) or self._made.get(step, [])
        self._made[step] = entries
        return tuple(
            packed(self._store.used[kind, key])
            for kind, key in entries
            if kind != "source" and key not in given
        )


_SETUPS: dict[str, Setup] = {}  # of the one run that this process works for
_WORKERS: dict[tuple[str, int], _Worker] = {}


def _setup(token: str, read: Callable[[], Setup]) -> Setup:
    if token not in _SETUPS:
        _SETUPS.clear()
        _SETUPS[token] = read()
    return _SETUPS[token]


def _worker(token: str, setup: Setup, threads: int) -> _Worker:
    if (token, threads) not in _WORKERS:
        _WORKERS.clear()
        _WORKERS[token, threads] = _Worker(setup, threads)
    return _WORKERS[token, threads]


def _root() -> Path:
    """Of the node's own store; a team's store behind it is the driver's to ask."""
    return parse_place(os.environ.get("QUANTBENCH_CACHE")).folder or default_root()


def _shares(setup: Setup) -> bool:
    return platform.node() == setup.host and _root().resolve() == Path(setup.root).resolve()


def _failure(step: Step, error: Exception, said: Sequence[str]) -> Failure:
    if not isinstance(error, QuantbenchError):
        kind = PredictionError if step.kind == "predict" else BuildError
        got = f"{type(error).__name__}: {error}"
        raised = error
        error = kind(f"{step} failed", got=got, remedy="its traceback is below")
        error.__cause__ = raised
    told = "".join(traceback.format_exception(error))
    logged = "".join(f"\n{line}" for line in said[-_SAID:])
    parts = {
        name: text
        for name, text in (
            ("where", error.where), ("expected", error.expected),
            ("got", error.got), ("next", error.remedy),
        )
        if text is not None
    }  # fmt: skip
    return Failure(
        type(error).__name__, error.what, parts, f"on node {platform.node()}:\n{told}{logged}"
    )


@contextmanager
def _heard() -> Iterator[list[str]]:
    """Warnings and errors that are logged meanwhile."""
    lines: list[str] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(f"{record.levelname} {record.name}: {record.getMessage()}")

    handler = Keeping(logging.WARNING)
    logging.getLogger().addHandler(handler)
    try:
        yield lines
    finally:
        logging.getLogger().removeHandler(handler)
