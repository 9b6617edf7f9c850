"""How a grid of 100 models x 8 schemes x 5,000 samples would run on 1 to 1,000 nodes.

    python -m benchmarks.scale

The scheduler is quantbench's own (`run/executors/scheduler.py`); what is simulated is the time that
nodes, links and the driver take, from costs measured on two cores of an Intel Xeon: half of the
models are small detectors (`digits_centernet`, LiteRT), half are language models (SmolLM2-135M,
GPTQ). A node does one step at a time, over a link of 1 Gbit/s. One thread of the driver gives steps
out and takes in what is made, over a link of 1 Gbit/s; another runs the tests, one after the other.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from quantbench import Case, Model, cases
from quantbench.protocols import Step
from quantbench.run.executors.pool import Finished, Need, Node, Order
from quantbench.run.executors.scheduler import Scheduler

if TYPE_CHECKING:
    from collections.abc import Sequence

SIZES = (1, 3, 10, 30, 100, 300, 1000)
MODELS, SHARDS = 100, 20
LINK = 117e6  # bytes a second: 1 Gbit/s
START_S = 12.0  # until a node's first step runs: Python, the framework
RESOLVE_S, SUBMIT_S = 0.0019, 0.0006  # a step (benchmarks/driver.py)
LAND_S, DISK = 0.003, 150e6  # an entry, and bytes a second: digests, and fsync


@dataclass(frozen=True)
class Costs:
    """Of a case: seconds on a node, and bytes of what is made.

    Attributes:
        seconds: by kind of step.
        sizes: by kind of step.
        judge_s: that its test takes in the driver, when all is there.
    """

    seconds: dict[str, float]
    sizes: dict[str, float]
    judge_s: float


DETECTOR = Costs(
    {"import": 17, "build": 10, "predict": 2.0, "sum up": 2.1, "compare": 1.4},
    {"import": 2.9e6, "build": 0.4e6, "predict": 2.3e6, "sum up": 0.28e6, "compare": 0.06e6},
    judge_s=1.4,
)
LANGUAGE = Costs(
    {"import": 12, "build": 200, "predict": 27, "sum up": 0.3, "compare": 0.3},
    {"import": 270e6, "build": 140e6, "predict": 0.15e6, "sum up": 0.1e6, "compare": 0.05e6},
    judge_s=0.4,
)


class Simulated:
    """A pool and a driver whose time is counted and not spent.

    Where nothing `lands`, nodes and driver share one store: what is made need not come through the
    driver.
    """

    def __init__(self, nodes: int, grid: dict[Case, Costs], *, lands: bool = True) -> None:
        self.kinds: dict[Case, str] = {}
        self.variants: dict[Case, str] = {}
        self._grid, self._lands = grid, lands
        self._nodes = [Node(f"n{i}", f"n{i}", 1, memory_bytes=2**35) for i in range(nodes)]
        self._events: list[tuple[float, int, Step, str]] = []
        self._holds: dict[str, set[tuple[str, str]]] = {node.id: set() for node in self._nodes}
        self._importing: dict[Model, Case] = {}
        self._done: set[Step] = set()
        self._rng = random.Random(0)
        self.now_s = self.driver_s = self.busy_s = self.moved = 0.0
        self.ready_s: dict[Case, float] = {}
        self.judged_s = 0.0
        self._tests = list(reversed(grid))

    def rank(self, case: Case) -> int:
        del case
        return 2

    def before(self, step: Step) -> Sequence[Step]:
        case = step.case
        match step.kind:
            case "build":
                return [Step("import", self._importing.setdefault(case.model, case))]
            case "predict":
                return [Step("build", case)]
            case "sum up" if Step("build", case) in self._done:
                return [Step("predict", case, 256 * i, 256 * (i + 1)) for i in range(SHARDS)]
            case "sum up":
                return [Step("build", case)]
            case "compare":
                return [Step("sum up", case), Step("sum up", case.reference)]
        return []

    def order(self, step: Step) -> Order:
        self._work(RESOLVE_S)
        return Order(step, ("", ""))

    def nodes(self) -> Sequence[Node]:
        return self._nodes

    def start(self, order: Order, node: Node, need: Need) -> None:
        del need
        self._work(SUBMIT_S)
        step, costs, holds = order.step, self._grid[order.step.case], self._holds[node.id]
        wanted = [("import", step.case.model.name), ("build", str(step.case))]
        wanted = wanted[: {"import": 0, "build": 1}.get(step.kind, 2)]
        size = sum(costs.sizes[kind] for kind, name in wanted if (kind, name) not in holds)
        if step.kind == "sum up":
            size += SHARDS * costs.sizes["predict"]
        if step.kind == "compare":
            size += 2 * SHARDS * costs.sizes["predict"]
        self.moved += size
        seconds = costs.seconds[step.kind] * self._rng.lognormvariate(0, 0.2)
        whole = seconds + size / LINK + (0 if holds else START_S)
        self.busy_s += seconds
        made = (step.kind, step.case.model.name if step.kind == "import" else str(step.case))
        holds |= {*wanted, made, ("started", "")}
        heapq.heappush(self._events, (self.now_s + whole, len(self._events), step, node.id))

    def finished(self, wait_s: float) -> Sequence[Finished]:
        del wait_s
        if not self._events:
            return []
        when_s, _, step, node = heapq.heappop(self._events)
        self.now_s = max(self.now_s, when_s)
        return [Finished(step, node, answer="made")]

    def land(self, order: Order, answer: Any) -> None:
        del answer
        step = order.step
        size = self._grid[step.case].sizes[step.kind]
        self.moved += size
        self._work((LAND_S + size / LINK + size / DISK) if self._lands else LAND_S)
        self._done.add(step)
        if step.kind == "compare":
            self.ready_s[step.case] = self.now_s

    def _work(self, seconds: float) -> None:
        """The driver's one thread goes on by so much, and its nodes wait for it."""
        self.driver_s += seconds
        self.now_s += seconds

    def test(self, run: Scheduler) -> None:
        """Tests go on, one after the other; what the next one lacks is hurried for it."""
        while self._tests and self._tests[-1] in self.ready_s:
            case = self._tests.pop()
            self.judged_s = max(self.judged_s, self.ready_s[case]) + self._grid[case].judge_s
            run.unhurried(case)
        if self._tests and self.judged_s <= self.now_s:
            run.expect([Step("compare", self._tests[-1])], urgent=True)


def grid() -> dict[Case, Costs]:
    """Detectors and language models in turn, as a study lists them."""
    model = cases("digits_centernet")[0].model
    found = {}
    for number in range(MODELS):
        schemes = [replace(case.scheme, name=f"{case.scheme.name}_{i}") for i in range(2)
                   for case in cases("digits_centernet")]  # fmt: skip
        each = replace(model, name=f"m{number}", schemes=tuple(schemes),
                       reference=schemes[0].name, anchors=())  # fmt: skip
        dataset = cases("digits_centernet")[0].dataset
        for scheme in schemes:
            found[Case(each, scheme, dataset)] = LANGUAGE if number % 2 else DETECTOR
    return found


def main() -> None:
    every = grid()
    click.echo(f"{len(every)} cases of {SHARDS} shards")
    for lands in (True, False):
        click.echo("\nstores of their own" if lands else "\none store that all share")
        click.echo(
            f"{'nodes':>6} {'all there':>10} {'all judged':>11} {'efficiency':>11} "
            f"{'moved':>8} {'driver':>7} {'tests':>6}"
        )
        for number in SIZES:
            click.echo(row(number, every, lands=lands))


def row(number: int, every: dict[Case, Costs], *, lands: bool) -> str:
    """Of the table: times, the nodes' use until the end, and how busy the driver's threads are."""
    world: Any = Simulated(number, every, lands=lands)
    run = Scheduler(world, world, lambda _: Need())
    run.expect([Step("compare", case) for case in every])
    while not run.idle:
        run.turn(0)
        world.test(run)
    whole_s, judged_s = world.now_s, world.judged_s
    judging = sum(costs.judge_s for costs in every.values()) / judged_s
    return (
        f"{number:>6} {whole_s / 3600:8.2f} h {judged_s / 3600:9.2f} h "
        f"{world.busy_s / number / judged_s:11.0%} {world.moved / 1e9:5.0f} GB "
        f"{world.driver_s / whole_s:7.0%} {judging:6.0%}"
    )


if __name__ == "__main__":
    main()
