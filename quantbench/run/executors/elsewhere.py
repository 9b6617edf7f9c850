"""Steps are done by the nodes of a pool, ahead of the tests that will ask for them."""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from quantbench.errors import BuildError, QuantbenchError
from quantbench.run.executors.scheduler import Scheduler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from quantbench.core.progress import Progress
    from quantbench.protocols import Step
    from quantbench.run.executors.pool import Need, Pool
    from quantbench.run.executors.resolving import Resolver
    from quantbench.study import Case

_TURN_S = 0.05
_SPARED = ("sum up", "compare")  # steps that this process does where no node has done them


class Elsewhere:
    """Gives steps to a pool, in a thread of its own, while tests wait or compute.

    Attributes:
        variants: of the machines that predict each case.
        closing: is called when nothing is given out any more.
    """

    def __init__(
        self,
        pool: Pool,
        resolver: Resolver,
        needs: Callable[[Case], Need],
        progress: Progress,
        *,
        host: str,
        mixed: bool,
    ) -> None:
        """Begin: nodes are greeted while tests are collected.

        Args:
            pool: of the nodes.
            resolver: of this process.
            needs: what the steps of a case take.
            progress: is told of each case that is predicted.
            host: of this process; its models are timed alone.
            mixed: nodes of several kinds may predict parts of one case.
        """
        self._resolver, self._host = resolver, host
        self._shown = _Shown(progress, resolver.samples)
        self._scheduler = Scheduler(pool, resolver, needs, mixed=mixed, tell=self._shown.tell)
        self.variants: Mapping[Case, str] = resolver.variants
        self._asked: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._known: set[Step] = set()
        self._timing = 0
        self._changed = threading.Condition()
        self._failure: QuantbenchError | None = None
        self._closing = False
        self.closing: list[Callable[[], None]] = []
        self._thread = threading.Thread(target=self._run, name="quantbench steps", daemon=True)
        self._thread.start()

    def expect(self, steps: Sequence[Step]) -> None:
        """Begin these, and all that they need."""
        steps = [self._resolver.same(step) for step in steps]
        self._known.update(steps)
        self._asked.put(lambda: self._scheduler.expect(steps))

    def settle(self, step: Step) -> None:
        """Wait until a node has done the step and this store has what it made."""
        step = self._resolver.same(step)
        if step.kind in _SPARED and step not in self._known:
            return
        ended = self._scheduler.ended
        if step not in ended:
            self._known.add(step)
            self._asked.put(lambda: self._scheduler.expect([step], urgent=True))
            with self._lifted():
                self._wait(lambda: step in ended)
            self._asked.put(lambda: self._scheduler.unhurried(step.case))
        error = ended[step]
        if error is not None and step.kind not in _SPARED:
            raise error

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Until the block ends, nodes on this machine rest."""
        self._rest()
        self._timing += 1
        try:
            yield
        finally:
            self._timing -= 1
            if not self._timing:
                self._asked.put(lambda: self._scheduler.resting.discard(self._host))

    def close(self) -> None:
        """Give out no more; what has landed stands."""
        self._closing = True
        self._thread.join(timeout=10)
        self._shown.close()

    @contextmanager
    def _lifted(self) -> Iterator[None]:
        """While a test that times waits for a step, nothing is timed: this machine may help."""
        if not self._timing:
            yield
            return
        self._asked.put(lambda: self._scheduler.resting.discard(self._host))
        yield
        self._rest()

    def _rest(self) -> None:
        rests = threading.Event()

        def rest() -> None:
            self._scheduler.resting.add(self._host)
            rests.set()

        self._asked.put(rest)
        self._wait(lambda: rests.is_set() and not self._scheduler.busy(self._host))

    def _wait(self, true: Callable[[], bool]) -> None:
        """Until it is true, or nothing goes on any more."""
        with self._changed:
            while not (self._failure or true()):
                self._changed.wait(1)  # not for ever: Ctrl-C must reach this thread
        if self._failure:
            raise self._failure

    def _run(self) -> None:
        try:
            while not self._closing:
                self._listen()
                self._scheduler.turn(_TURN_S)
                with self._changed:
                    self._changed.notify_all()
        except Exception as error:  # noqa: BLE001 - a test must not wait for a thread that is gone
            self._failure = BuildError(
                "steps are given out no longer",
                got=f"{type(error).__name__}: {error}"[:500],
                remedy="run again: it goes on with what has landed; if the cluster is well, "
                "report it",
            )
            self._failure.__cause__ = error
            with self._changed:
                self._changed.notify_all()

    def _listen(self) -> None:
        while True:
            try:
                self._asked.get_nowait()()
            except Empty:
                return


class _Shown:
    """One line for each case that is predicted, over the whole cluster."""

    def __init__(self, progress: Progress, samples: Callable[[Case], int]) -> None:
        self._progress, self._samples = progress, samples
        self._lines: dict[Case, ExitStack] = {}
        self._advance: dict[Case, Callable[[int], None]] = {}

    def tell(self, what: str, step: Step) -> None:
        """A step starts or ends."""
        case = step.case
        if step.kind == "predict" and what == "starts" and case not in self._lines:
            line = self._progress.working(f"evaluating {case}, cluster", self._samples(case))
            self._lines[case] = ExitStack()
            self._advance[case] = self._lines[case].enter_context(line)
        elif step.kind == "predict" and what == "ends" and case in self._lines:
            self._advance[case](step.stop - step.start)
        elif step.kind == "sum up" and what == "ends" and case in self._lines:
            self._lines.pop(case).close()

    def close(self) -> None:
        """End all lines."""
        for line in self._lines.values():
            line.close()
