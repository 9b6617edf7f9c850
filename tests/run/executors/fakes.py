"""A pool whose nodes do steps when they are told to, and a driver that knows steps by heart."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from quantbench.protocols import Step
from quantbench.run.executors.pool import Finished, Need, Node, Order

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from quantbench.errors import QuantbenchError
    from quantbench.run.executors.scheduler import Scheduler
    from quantbench.study import Case

GIB = 2**30


def node(name: str, host: str = "", cpus: int = 1, **more: Any) -> Node:
    return Node(name, host or f"host-{name}", cpus, memory_bytes=more.pop("memory", GIB), **more)


class FakePool:
    """Steps that were given are at work until `done`, `die`, `lose` or `fail` ends them."""

    def __init__(self, *nodes: Node) -> None:
        self.alive = list(nodes)
        self.given: list[tuple[Step, str]] = []
        self.at: dict[Step, str] = {}
        self.why_none: QuantbenchError | None = None
        self._ended: deque[Finished] = deque()

    def nodes(self) -> Sequence[Node]:
        if not self.alive and self.why_none:
            raise self.why_none
        return self.alive

    def start(self, order: Order, node: Node, need: Need) -> None:
        assert need.cpus <= node.cpus
        assert order.step not in self.at
        self.given.append((order.step, node.id))
        self.at[order.step] = node.id

    def finished(self, wait_s: float) -> Sequence[Finished]:
        del wait_s
        ended = list(self._ended)
        self._ended.clear()
        return ended

    def done(self, *steps: Step) -> None:
        for step in steps or list(self.at):
            self._ended.append(Finished(step, self.at.pop(step), answer="made"))

    def die(self, step: Step, how: str = "SIGKILL") -> None:
        self._ended.append(Finished(step, self.at.pop(step), died=how))

    def lose(self, step: Step) -> None:
        self._ended.append(Finished(step, self.at.pop(step), lost=True))

    def fail(self, step: Step, error: QuantbenchError) -> None:
        self._ended.append(Finished(step, self.at.pop(step), error=error))

    def drop(self, name: str) -> None:
        """A node is gone, with what it was at."""
        self.alive = [node for node in self.alive if node.id != name]
        for step in [step for step, at in self.at.items() if at == name]:
            self.die(step, "the node was lost")


class FakeDriver:
    """Each case has so many blocks of a hundred samples; what is in `stored` is there already."""

    def __init__(self, blocks: int = 2) -> None:
        self.blocks, self.stored, self.landed = blocks, set[Step](), list[Step]()
        self.ranks: dict[Case, int] = {}
        self.kinds: dict[Case, str] = {}
        self.variants: dict[Case, str] = {}
        self.refuse: Callable[[Step], QuantbenchError | None] = lambda _: None
        self.memory_bytes = 0

    def rank(self, case: Case) -> int:
        return self.ranks.get(case, 1)

    def before(self, step: Step) -> Sequence[Step]:
        case = step.case
        build = Step("build", case)
        match step.kind:
            case "build":
                return [Step("import", case)]
            case "predict":
                return [build]
            case "sum up":
                there = build in self.stored or build in self.landed
                return self.shards(case) if there else [build]
            case "compare":
                return [Step("sum up", case), Step("sum up", case.reference)]
        return []

    def shards(self, case: Case) -> list[Step]:
        return [Step("predict", case, 100 * i, 100 * (i + 1)) for i in range(self.blocks)]

    def order(self, step: Step) -> Order | None:
        if step in self.stored:
            return None
        return Order(step, ("kind", str(step)), memory_bytes=self.memory_bytes)

    def land(self, order: Order, answer: Any) -> None:
        if (error := self.refuse(order.step)) is not None:
            raise error
        assert answer == "made"
        self.landed.append(order.step)


def finish(scheduler: Scheduler, pool: FakePool, turns: int = 100) -> None:
    """Let everything that is given be done, until nothing is expected."""
    for _ in range(turns):
        scheduler.turn(0)
        if scheduler.idle:
            return
        pool.done()
    raise AssertionError(f"not idle after {turns} turns; at work: {pool.at}")
