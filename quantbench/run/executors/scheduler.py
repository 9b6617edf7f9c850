"""Which step goes to which node, and when.

A node takes, in this order: what a test waits for; steps of cases whose artifact it has; steps of
cases whose artifact the driver had from the start; builds of cases that nobody has begun, those
first that take the least; steps of any case. So artifacts hardly travel, and a case that somebody
waits for has the whole cluster.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from quantbench.errors import MissingDeviceError, PredictionError, QuantbenchError
from quantbench.run.executors.pool import ClaimedError, Need, Order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from quantbench.protocols import Step
    from quantbench.run.executors.pool import Finished, Node, Pool, Resolving
    from quantbench.study import Case

DEADLY = 3  # workers that a step may kill
_LATER_S = 0.5  # until a step is asked for again that another process has given away
_LOST = 10  # times that a step's inputs or answer may be lost


@dataclass
class Job:
    """A step on its way.

    Attributes:
        step: what is done.
        waits: for how many steps still.
        opened: whether what it must wait for is known.
        killed: how the workers ended that it was given to.
        shunned: nodes on which it killed one.
        lost: times that it was done for nothing.
    """

    step: Step
    waits: int = 0
    opened: bool = False
    killed: list[str] = field(default_factory=list)
    shunned: set[str] = field(default_factory=set)
    lost: int = 0


@dataclass
class _At:
    """A job that a node is at."""

    job: Job
    order: Order
    node: Node
    need: Need


class Scheduler:
    """Takes steps from being expected to their end, on the nodes of a pool.

    Attributes:
        ended: steps that ended, with the error that ended them or None.
        resting: hosts that are given nothing at present.
    """

    def __init__(
        self,
        pool: Pool,
        resolving: Resolving,
        needs: Callable[[Case], Need],
        *,
        mixed: bool = False,
        tell: Callable[[str, Step], None] = lambda *_: None,
    ) -> None:
        """Expect nothing yet.

        Args:
            pool: of the nodes.
            resolving: knows what a step starts from.
            needs: what the steps of a case take.
            mixed: nodes of several kinds may predict parts of one case.
            tell: is told "starts" and "ends" of each step.
        """
        self._pool, self._resolving, self._needs = pool, resolving, needs
        self._mixed, self._tell = mixed, tell
        self.ended: dict[Step, QuantbenchError | None] = {}
        self.resting: set[str] = set()
        self._jobs: dict[Step, Job] = {}
        self._after: dict[Step, list[Job]] = {}
        self._ready: dict[Case, deque[Job]] = {}  # beside those that nobody has begun
        self._fresh: dict[Case, deque[Job]] = {}
        self._urgent: set[Case] = set()
        self._at: dict[Step, _At] = {}
        self._later: list[tuple[float, Job]] = []
        self._free: dict[str, Need] = {}
        self._known: dict[str, dict[Case, None]] = {}  # cases by the node that has their artifact
        self._stored: set[Case] = set()  # whose artifact the driver had

    def expect(self, steps: Iterable[Step], *, urgent: bool = False) -> None:
        """Take steps in, with all that they need; those of the least rank come first."""
        steps = [step for step in steps if step not in self.ended]
        if urgent:
            self._urgent.update(step.case for step in steps)
        new = [step for step in steps if step not in self._jobs]
        rank = cache(self._resolving.rank)
        for step in sorted(new, key=lambda step: rank(step.case)):
            self._take(step)

    def unhurried(self, case: Case) -> None:
        """Nobody waits for the case any longer."""
        self._urgent.discard(case)

    def busy(self, host: str) -> bool:
        """Whether a node of a host is at a step."""
        return any(at.node.host == host for at in list(self._at.values()))

    @property
    def idle(self) -> bool:
        """Whether every expected step has ended."""
        return not self._jobs

    def turn(self, wait_s: float) -> None:
        """Hear what ended, for so long, and give out what can begin."""
        for finished in self._pool.finished(wait_s):
            self._hear(finished)
        if not self._jobs:
            return
        due = [job for when_s, job in self._later if when_s <= time.monotonic()]
        self._later = [(when_s, job) for when_s, job in self._later if job not in due]
        for job in due:
            self._make_ready(job)
        try:
            nodes = self._pool.nodes()
        except QuantbenchError as error:
            for step in list(self._jobs):
                self._end(step, error)
            return
        for node in nodes:
            self._free.setdefault(node.id, _all_of(node))
        if nodes:
            self._give(nodes)

    def _take(self, step: Step) -> None:
        if step in self._jobs or step in self.ended:
            return
        self._jobs[step] = Job(step)
        self._open(self._jobs[step])

    def _open(self, job: Job) -> None:
        """Find out what the job waits for; with nothing left, it is ready."""
        try:
            before = self._resolving.before(job.step)
        except QuantbenchError as error:
            self._end(job.step, error)
            return
        for each in before:
            self._take(each)
        failed = [self.ended[each] for each in before if self.ended.get(each) is not None]
        if failed:
            self._end(job.step, failed[0])
            return
        waiting = [each for each in before if each not in self.ended]
        job.opened = job.step.kind != "sum up" or all(each.kind == "predict" for each in before)
        job.waits = len(waiting)
        for each in waiting:
            self._after.setdefault(each, []).append(job)
        if not waiting:
            self._make_ready(job)

    def _make_ready(self, job: Job) -> None:
        if not job.opened:
            self._open(job)
            return
        queues = self._fresh if job.step.kind in {"import", "build"} else self._ready
        queues.setdefault(job.step.case, deque()).append(job)

    def _end(self, step: Step, error: QuantbenchError | None) -> None:
        """Of a step, and of all that wait for one that failed."""
        if step in self.ended:
            return
        self.ended[step] = error
        if (job := self._jobs.pop(step, None)) is not None:
            for queues in (self._ready, self._fresh):
                if job in (queue := queues.get(step.case, deque())):
                    queue.remove(job)
        self._tell("ends", step)
        for waiting in self._after.pop(step, ()):
            waiting.waits -= 1
            if error is not None:
                self._end(waiting.step, error)
            elif waiting.waits == 0 and waiting.step in self._jobs:
                self._make_ready(waiting)

    def _hear(self, finished: Finished) -> None:
        at = self._at.pop(finished.step, None)
        if at is None or at.node.id != finished.node:
            return
        self._free[at.node.id] = _with(self._free[at.node.id], at.need)
        job, error = at.job, finished.error
        if finished.died:
            job.killed.append(f"{finished.died} (on {at.node.host})")
            job.shunned.add(at.node.id)
            error = _deadly(job) if len(job.killed) >= DEADLY else None
        elif finished.lost:
            job.lost += 1
            error = _lost(job) if job.lost >= _LOST else None
        elif error is None:
            try:
                self._resolving.land(at.order, finished.answer)
            except QuantbenchError as raised:
                error = raised
            at.order.release()
            self._known.setdefault(at.node.id, {})[job.step.case] = None
            self._end(job.step, error)
            return
        at.order.release()
        if error is not None:
            self._end(job.step, error)
        else:
            self._make_ready(job)

    def _give(self, nodes: Sequence[Node]) -> None:
        """Go on while a node takes something; what no node could ever take has failed."""
        awake = [node for node in nodes if node.host not in self.resting]
        while awake:
            awake = [node for node in awake if self._free[node.id].cpus > 0 and self._fill(node)]
        if self._at:
            return
        for job in [*self._queued(self._fresh), *self._queued(self._ready)]:
            job.shunned -= {node.id for node in nodes}  # nobody else is left
            if not any(self._may(job, node, _all_of(node)) for node in nodes):
                self._end(job.step, _nowhere(job.step, self._needs(job.step.case), nodes))

    def _fill(self, node: Node) -> bool:
        """Give a node one step, if there is one for it."""
        for job in self._choices(node):
            need = self._needs(job.step.case)
            if not self._may(job, node, self._free[node.id]):
                continue
            self._unqueue(job)
            if job.step.kind == "predict":
                self._pin(job.step.case, node)
            try:
                order = self._resolving.order(job.step)
            except QuantbenchError as error:
                self._end(job.step, error)
                return True
            except ClaimedError:
                self._later.append((time.monotonic() + _LATER_S, job))
                return True
            if order is None:
                if job.step.kind == "build":
                    self._stored.add(job.step.case)
                self._end(job.step, None)
                return True
            memory = min(order.memory_bytes, node.memory_bytes)
            need = Need(need.cpus, need.gpus, memory, need.custom)
            if self._free[node.id].memory_bytes < memory:
                order.release()
                self._make_ready(job)
                continue
            self._free[node.id] = _without(self._free[node.id], need)
            self._at[job.step] = _At(job, order, node, need)
            self._tell("starts", job.step)
            self._pool.start(order, node, need)
            return True
        return False

    def _choices(self, node: Node) -> Iterator[Job]:
        """Jobs in the order in which this node should take them; one of each queue."""
        known = self._known.setdefault(node.id, {})
        for case in [case for case in self._urgent if case in self._ready or case in self._fresh]:
            yield from self._firsts(self._fresh, [case])
            yield from self._firsts(self._ready, [case])
        yield from self._firsts(self._ready, [case for case in known if case in self._ready])
        yield from self._firsts(self._ready, [case for case in self._ready if case in self._stored])
        yield from self._firsts(self._fresh, list(self._fresh))
        yield from self._firsts(self._ready, list(self._ready))

    def _firsts(self, queues: Mapping[Case, deque[Job]], cases: Iterable[Case]) -> Iterator[Job]:
        for case in cases:
            if queue := queues.get(case):
                yield queue[0]

    def _unqueue(self, job: Job) -> None:
        case = job.step.case
        for queues in (self._fresh, self._ready):
            if (queue := queues.get(case)) and job in queue:
                queue.remove(job)
                if not queue:
                    del queues[case]

    def _queued(self, queues: Mapping[Case, deque[Job]]) -> list[Job]:
        return [job for queue in queues.values() for job in queue]

    def _may(self, job: Job, node: Node, free: Need) -> bool:
        """Whether the node can take the job beside what it is at."""
        case, need = job.step.case, self._needs(job.step.case)
        fits = (
            need.cpus <= free.cpus
            and need.gpus <= free.gpus
            and all(free.custom.get(name, 0) >= amount for name, amount in need.custom.items())
        )
        if not fits or node.id in job.shunned:
            return False
        if job.step.kind != "predict":
            return True
        variant = node.variants.get((case.scheme.backend, case.device))
        if node.variants and variant is None:
            return False
        if self._resolving.variants.get(case, variant) != variant:
            return False
        kind = node.kinds.get(case.device, "")
        return self._mixed or self._resolving.kinds.get(case, kind) == kind

    def _pin(self, case: Case, node: Node) -> None:
        """From here on, nodes of this kind predict the case."""
        self._resolving.kinds.setdefault(case, node.kinds.get(case.device, ""))
        variant = node.variants.get((case.scheme.backend, case.device))
        if variant is not None:
            self._resolving.variants[case] = variant


def _all_of(node: Node) -> Need:
    return Need(node.cpus, node.gpus, node.memory_bytes, node.custom)


def _with(free: Need, need: Need, sign: int = 1) -> Need:
    custom = {name: n + sign * need.custom.get(name, 0) for name, n in free.custom.items()}
    return Need(
        free.cpus + sign * need.cpus,
        free.gpus + sign * need.gpus,
        free.memory_bytes + sign * need.memory_bytes,
        custom,
    )


def _without(free: Need, need: Need) -> Need:
    return _with(free, need, -1)


def _deadly(job: Job) -> QuantbenchError:
    return PredictionError(
        f"{job.step} killed {len(job.killed)} workers, and is given to no other",
        got="; ".join(dict.fromkeys(job.killed)),
        remedy="a process that dies without a word has often run out of memory: give the nodes "
        "more, or the step fewer neighbours; else look at the worker's log on the node",
    )


def _lost(job: Job) -> QuantbenchError:
    return PredictionError(
        f"{job.step} was done for nothing {job.lost} times: nodes were lost with what it needs",
        remedy="see that the nodes stay, and run again: it goes on with what has landed",
    )


def _nowhere(step: Step, need: Need, nodes: Sequence[Node]) -> QuantbenchError:
    asked = {"cores": need.cpus, "GPUs": need.gpus, **need.custom}
    wanted = ", ".join(f"{amount:g} {name}" for name, amount in asked.items() if amount)
    return MissingDeviceError(
        f"no node of the cluster can do {step}",
        expected=f"a node with {wanted}, of one kind with those that did other parts of the case, "
        f"and a runner of {step.case.scheme.backend}",
        got="; ".join(f"{node.host}: {node.cpus} cores, {node.gpus:g} GPUs" for node in nodes),
        remedy="start such a node; --quant-mixed on lets other kinds predict the rest of a case",
    )
