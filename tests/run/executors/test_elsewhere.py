"""Tests wait for steps that a pool does in a thread of the driver's."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from quantbench import cases
from quantbench.core.progress import Silent
from quantbench.errors import BuildError, PredictionError
from quantbench.protocols import Executor, Step
from quantbench.run.executors.elsewhere import Elsewhere
from quantbench.run.executors.local import Local
from quantbench.run.executors.pool import Finished, Need, Node, Order
from tests.run.executors.fakes import FakeDriver, FakePool, node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from quantbench.study import Case

CASES = cases("digits_centernet")
INT8 = CASES[-1]


class Driver(FakeDriver):
    """With what an executor asks of it besides."""

    def same(self, step: Step) -> Step:
        return step

    def samples(self, case: Case) -> int:
        return self.shards(case)[-1].stop


class Quick(FakePool):
    """Does each step at once, unless it is told to hold or to break it."""

    def __init__(self, *nodes: Node) -> None:
        super().__init__(*nodes)
        self.held, self.broken = set[str](), dict[Step, BuildError]()
        self.wait_s: list[float] = []

    def finished(self, wait_s: float) -> Sequence[Finished]:
        for step in list(self.at):
            if step in self.broken:
                self.fail(step, self.broken[step])
            elif step.kind not in self.held:
                self.done(step)
        time.sleep(0.001)
        return super().finished(wait_s)


@contextmanager
def running(pool: FakePool, driver: Driver, progress: Any = None) -> Iterator[Elsewhere]:
    made: Any = Elsewhere(
        pool, driver, lambda _: Need(), progress or Silent(), host="here", mixed=False,  # type: ignore[arg-type]
    )  # fmt: skip
    try:
        yield made
    finally:
        made.close()


def test_both_are_executors() -> None:
    def takes(executor: Executor) -> Executor:
        return executor

    assert takes(Local())
    with running(Quick(), Driver()) as elsewhere:
        assert takes(elsewhere)


def test_a_test_finds_what_was_expected() -> None:
    pool, driver = Quick(node("a")), Driver()
    with running(pool, driver) as run:
        run.expect([Step("compare", case) for case in CASES])
        for case in CASES:
            run.settle(Step("compare", case))
            assert Step("sum up", case) in driver.landed


def test_a_step_that_nobody_expected_is_begun_when_it_is_asked_for() -> None:
    pool, driver = Quick(node("a")), Driver()
    with running(pool, driver) as run:
        run.settle(Step("predict", INT8, 0, 100))
    assert Step("build", INT8) in driver.landed


def test_what_this_process_can_do_itself_is_not_begun_for_it() -> None:
    """Sums over other rows than those that were expected, as early stopping makes them."""
    pool, driver = Quick(node("a")), Driver()
    with running(pool, driver) as run:
        run.settle(Step("sum up", INT8))
    assert pool.given == []


def test_the_error_of_a_step_is_raised_where_it_is_asked_for() -> None:
    pool, driver = Quick(node("a")), Driver()
    pool.broken = {Step("build", INT8): BuildError("no kernel")}
    with running(pool, driver) as run:
        run.expect([Step("sum up", INT8), Step("sum up", CASES[0])])
        with pytest.raises(BuildError, match="no kernel"):
            run.settle(Step("build", INT8))
        with pytest.raises(BuildError, match="no kernel"):
            run.settle(Step("predict", INT8, 0, 100))
        run.settle(Step("sum up", INT8))  # whoever sums up finds the error itself
        run.settle(Step("predict", CASES[0], 0, 100))


def test_nothing_runs_on_this_machine_while_a_model_is_timed() -> None:
    pool, driver = Quick(node("a", "here"), node("b", "there")), Driver(blocks=50)
    with running(pool, driver) as run:
        run.expect([Step("sum up", case) for case in CASES])
        time.sleep(0.01)
        with run.alone():
            for _ in range(20):
                assert "a" not in list(pool.at.values())
                time.sleep(0.001)
        for case in CASES:
            run.settle(Step("sum up", case))
    assert "a" in {at for _, at in pool.given}


def test_a_timed_model_whose_test_asks_for_more_does_not_wait_for_itself() -> None:
    """The only node is on this machine, which rests while the test holds the model."""
    pool, driver = Quick(node("a", "here")), Driver()
    with running(pool, driver) as run, run.alone():
        run.settle(Step("predict", INT8, 0, 100))
        assert not pool.at  # and rests again
        time.sleep(0.02)
        assert not pool.at


class BrokenPool(FakePool):
    def start(self, order: Order, node: Node, need: Need) -> None:
        super().start(order, node, need)
        raise RuntimeError("the cluster is gone")


def test_a_cluster_that_breaks_down_is_an_error_and_not_a_wait() -> None:
    with running(BrokenPool(node("a")), Driver()) as run:
        run.expect([Step("sum up", INT8)])
        with pytest.raises(BuildError, match="the cluster is gone"):
            run.settle(Step("build", INT8))
        with pytest.raises(BuildError, match="no longer"), run.alone():
            pass


def test_ctrl_c_reaches_a_test_that_waits() -> None:
    pool, driver = Quick(node("a")), Driver()
    pool.held = {"import"}
    # A suite in the background of a script inherits that Ctrl-C is ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with running(pool, driver) as run:
            timer = threading.Timer(0.1, _interrupt)
            timer.start()
            with pytest.raises(KeyboardInterrupt):
                run.settle(Step("build", INT8))
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupt() -> None:
    import _thread

    _thread.interrupt_main()


class Lines:
    """Remembers the lines that it was asked for, and which are gone."""

    def __init__(self) -> None:
        self.shown: dict[str, list[int]] = {}
        self.gone: list[str] = []

    @contextmanager
    def working(self, what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        self.shown[what] = [total or 0, 0]

        def advance(n: int) -> None:
            self.shown[what][1] += n

        yield advance
        self.gone.append(what)


def test_each_case_has_one_line_over_the_whole_cluster() -> None:
    lines = Lines()
    with running(Quick(node("a"), node("b")), Driver(blocks=7), lines) as run:
        run.expect([Step("sum up", case) for case in CASES])
        for case in CASES:
            run.settle(Step("sum up", case))
    assert lines.shown == {f"evaluating {case}, cluster": [700, 700] for case in CASES}
    assert sorted(lines.gone) == sorted(lines.shown)


def test_a_failure_of_the_dead_is_told_with_its_reason() -> None:
    pool, driver = Quick(node("a"), node("b")), Driver()
    pool.held = {"build"}
    with running(pool, driver) as run:
        run.expect([Step("build", INT8)])

        def kill() -> None:
            for _ in range(3):
                while Step("build", INT8) not in pool.at:
                    time.sleep(0.001)
                pool.die(Step("build", INT8), "SIGKILL")

        threading.Thread(target=kill).start()
        with pytest.raises(PredictionError, match=r"killed 3 workers[\s\S]*SIGKILL"):
            run.settle(Step("build", INT8))
