"""Which step goes where: order, places, deaths."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from quantbench import cases
from quantbench.errors import (
    BuildError,
    IntegrityError,
    MissingDeviceError,
    UsageError,
)
from quantbench.protocols import Step
from quantbench.run.executors.pool import ClaimedError, Need, Order
from quantbench.run.executors.scheduler import DEADLY, Scheduler
from tests.run.executors.fakes import FakeDriver, FakePool, finish, node

if TYPE_CHECKING:
    from collections.abc import Callable

CASES = cases("digits_centernet")
FLOAT, INT8 = CASES[0], CASES[-1]


def scheduler(
    pool: FakePool, driver: FakeDriver, need: Need | None = None, **more: Any
) -> Scheduler:
    return Scheduler(pool, driver, lambda _: need or Need(), **more)


def test_a_case_goes_its_way_in_order_and_its_shards_side_by_side() -> None:
    pool, driver = FakePool(node("a", cpus=8)), FakeDriver(blocks=3)
    run = scheduler(pool, driver)
    run.expect([Step("sum up", INT8)])
    waves = []
    while not run.idle:
        run.turn(0)
        waves.append(sorted(step.kind for step in pool.at))
        pool.done()
    waves.pop()
    assert waves == [["import"], ["build"], ["predict"] * 3, ["sum up"]]
    assert set(run.ended.values()) == {None}


def test_a_comparison_waits_for_both_sides() -> None:
    pool, driver = FakePool(node("a", cpus=8)), FakeDriver()
    run = scheduler(pool, driver)
    run.expect([Step("compare", INT8)])
    finish(run, pool)
    order = [step for step, _ in pool.given]
    last = order.index(Step("compare", INT8))
    assert {Step("sum up", INT8), Step("sum up", INT8.reference)} <= set(order[:last])


def test_what_the_store_has_is_given_to_nobody() -> None:
    pool, driver = FakePool(node("a")), FakeDriver()
    first, second = driver.shards(INT8)
    driver.stored = {Step("import", INT8), Step("build", INT8), first}
    run = scheduler(pool, driver)
    run.expect([Step("sum up", INT8)])
    finish(run, pool)
    assert [step for step, _ in pool.given] == [second, Step("sum up", INT8)]


def test_cases_that_need_least_to_begin_come_first() -> None:
    pool, driver = FakePool(node("a")), FakeDriver()
    driver.ranks = {case: 3 - i for i, case in enumerate(CASES)}
    run = scheduler(pool, driver)
    run.expect([Step("build", case) for case in CASES])
    finish(run, pool)
    begun = [step.case for step, _ in pool.given if step.kind == "import"]
    assert begun == list(reversed(CASES))


def test_what_a_test_waits_for_comes_before_all_else() -> None:
    pool, driver = FakePool(node("a")), FakeDriver()
    run = scheduler(pool, driver)
    run.expect([Step("sum up", case) for case in CASES])
    run.turn(0)
    run.expect([Step("sum up", INT8)], urgent=True)
    pool.done()
    for _ in range(5):
        run.turn(0)
        pool.done()
    assert {step.case for step, _ in pool.given[1:]} == {INT8}


def test_shards_go_where_their_artifact_is() -> None:
    """Each of two nodes builds a case: no artifact has to travel."""
    pool, driver = FakePool(node("a"), node("b")), FakeDriver(blocks=5)
    run = scheduler(pool, driver)
    run.expect([Step("sum up", FLOAT), Step("sum up", INT8)])
    finish(run, pool)
    places = {case: {at for step, at in pool.given if step.case == case} for case in (FLOAT, INT8)}
    assert sorted(map(len, places.values())) == [1, 1]


def test_an_idle_node_helps_where_nothing_else_is_left() -> None:
    pool, driver = FakePool(node("a"), node("b")), FakeDriver(blocks=6)
    run = scheduler(pool, driver)
    run.expect([Step("sum up", INT8)])
    finish(run, pool)
    predicted = [at for step, at in pool.given if step.kind == "predict"]
    assert sorted(predicted) == ["a"] * 3 + ["b"] * 3


def test_no_node_is_given_more_than_it_has() -> None:
    pool, driver = FakePool(node("a", cpus=4, memory=1000)), FakeDriver(blocks=9)
    driver.memory_bytes = 300
    run = scheduler(pool, driver, Need(cpus=1))
    run.expect([Step("sum up", INT8)])
    most = 0
    while not run.idle:
        run.turn(0)
        most = max(most, len(pool.at))
        pool.done(*list(pool.at)[:1])
    assert most == 3  # of 300 bytes each, though it has four cores


def test_a_step_that_is_larger_than_every_node_takes_a_whole_one() -> None:
    pool, driver = FakePool(node("a", cpus=4, memory=1000)), FakeDriver(blocks=2)
    driver.memory_bytes = 5000
    run = scheduler(pool, driver)
    run.expect([Step("sum up", INT8)])
    while not run.idle:
        run.turn(0)
        assert len(pool.at) <= 1
        pool.done()
    assert not any(run.ended.values())


def test_a_named_resource_is_looked_for() -> None:
    board = node("board", custom={"npu": 1})
    pool, driver = FakePool(node("a", cpus=8), board), FakeDriver()
    run = scheduler(pool, driver, Need(custom={"npu": 1}))
    run.expect([Step("sum up", INT8)])
    finish(run, pool)
    assert {at for _, at in pool.given} == {"board"}


def test_what_no_node_can_do_is_said_and_the_rest_goes_on() -> None:
    pool, driver = FakePool(node("a")), FakeDriver()
    gpu = replace(INT8, device="cuda")
    run = Scheduler(pool, driver, lambda case: Need(gpus=1 if case.device == "cuda" else 0))
    run.expect([Step("sum up", gpu), Step("sum up", INT8)])
    finish(run, pool)
    assert run.ended[Step("sum up", INT8)] is None
    error = run.ended[Step("sum up", gpu)]
    assert isinstance(error, MissingDeviceError)
    assert "1 GPUs" in str(error)


def test_an_error_ends_what_waits_for_it_and_nothing_else() -> None:
    pool, driver = FakePool(node("a")), FakeDriver()
    run = scheduler(pool, driver)
    run.expect([Step("compare", INT8), Step("sum up", FLOAT)])
    broken = BuildError("no kernel")
    for _ in range(50):
        run.turn(0)
        for step in list(pool.at):
            if step == Step("build", INT8):
                pool.fail(step, broken)
            else:
                pool.done(step)
    assert run.idle
    for kind in ("build", "sum up", "compare"):
        assert run.ended[Step(kind, INT8)] is broken
    assert run.ended[Step("sum up", FLOAT)] is None
    run.expect([Step("predict", INT8, 0, 100)])  # asked for after its artifact has failed
    run.turn(0)
    assert run.ended[Step("predict", INT8, 0, 100)] is broken


def test_an_answer_that_is_not_what_was_ordered_is_an_error() -> None:
    pool, driver = FakePool(node("a")), FakeDriver()
    wrong = IntegrityError("another key")
    driver.refuse = lambda step: wrong if step.kind == "predict" else None
    run = scheduler(pool, driver)
    run.expect([Step("sum up", INT8)])
    finish(run, pool)
    assert run.ended[Step("sum up", INT8)] is wrong


def test_a_step_whose_worker_dies_is_done_elsewhere() -> None:
    pool, driver = FakePool(node("a"), node("b")), FakeDriver(blocks=1)
    (shard,) = driver.shards(INT8)
    run = scheduler(pool, driver)
    run.expect([Step("sum up", INT8)])
    while shard not in pool.at:
        run.turn(0)
        if shard not in pool.at:
            pool.done()
    killed_on = pool.at[shard]
    pool.die(shard)
    finish(run, pool)
    places = [at for step, at in pool.given if step == shard]
    assert places[0] == killed_on != places[1]
    assert run.ended[Step("sum up", INT8)] is None


@pytest.mark.parametrize("nodes", [1, 2, 5])
def test_a_step_that_kills_three_workers_has_failed_with_the_reason(nodes: int) -> None:
    pool = FakePool(*(node(f"n{i}") for i in range(nodes)))
    driver = FakeDriver(blocks=1)
    (shard,) = driver.shards(INT8)
    run = scheduler(pool, driver)
    run.expect([Step("sum up", INT8), Step("sum up", FLOAT)])
    for _ in range(50):
        run.turn(0)
        for step in list(pool.at):
            pool.die(step, "SIGSEGV") if step == shard else pool.done(step)
    assert run.idle
    assert sum(step == shard for step, _ in pool.given) == DEADLY
    assert "SIGSEGV" in str(run.ended[Step("sum up", INT8)])
    assert run.ended[Step("sum up", FLOAT)] is None


def test_a_node_that_is_lost_costs_its_steps_another_node() -> None:
    pool, driver = FakePool(node("a", cpus=2), node("b", cpus=2)), FakeDriver(blocks=4)
    run = scheduler(pool, driver)
    run.expect([Step("sum up", INT8)])
    while not any(step.kind == "predict" for step in pool.at):
        run.turn(0)
        if not any(step.kind == "predict" for step in pool.at):
            pool.done()
    pool.drop("a")
    finish(run, pool)
    assert run.ended[Step("sum up", INT8)] is None
    assert sorted(driver.landed.count(shard) for shard in driver.shards(INT8)) == [1] * 4


def test_a_lost_answer_is_no_fault_of_the_step_but_not_for_ever() -> None:
    pool, driver = FakePool(node("a")), FakeDriver()
    run = scheduler(pool, driver)
    run.expect([Step("import", INT8)])
    for _ in range(30):
        run.turn(0)
        for step in list(pool.at):
            pool.lose(step)
    assert run.idle
    assert "nodes were lost" in str(run.ended[Step("import", INT8)])


def test_a_case_is_predicted_by_one_kind_of_machine() -> None:
    kinds: list[dict[str, Any]] = [{"kinds": {"cpu": "avx2"}}, {"kinds": {"cpu": "vnni"}}]
    nodes = [node(f"n{i}", **kinds[i % 2]) for i in range(4)]
    for mixed, expected in ((False, 1), (True, 2)):
        pool, driver = FakePool(*nodes), FakeDriver(blocks=8)
        run = scheduler(pool, driver, mixed=mixed)
        run.expect([Step("sum up", INT8)])
        finish(run, pool)
        used = {int(at[1]) % 2 for step, at in pool.given if step.kind == "predict"}
        assert len(used) == expected


def test_what_was_begun_on_one_kind_goes_on_there() -> None:
    pool = FakePool(node("a", kinds={"cpu": "avx2"}), node("b", kinds={"cpu": "vnni"}))
    driver = FakeDriver(blocks=3)
    driver.kinds = {INT8: "vnni"}
    run = scheduler(pool, driver)
    run.expect([Step("sum up", INT8)])
    finish(run, pool)
    assert {at for step, at in pool.given if step.kind == "predict"} == {"b"}


def test_the_variant_of_who_predicts_is_known() -> None:
    place = INT8.scheme.backend, INT8.device
    pool = FakePool(
        node("a", variants={place: "cpu bfloat16"}), node("b", variants={("x", "cpu"): ""})
    )
    driver = FakeDriver(blocks=3)
    run = scheduler(pool, driver)
    run.expect([Step("sum up", INT8)])
    finish(run, pool)
    assert driver.variants == {INT8: "cpu bfloat16"}
    assert {at for step, at in pool.given if step.kind == "predict"} == {"a"}


def test_a_host_at_rest_is_given_nothing() -> None:
    pool, driver = FakePool(node("a", "here"), node("b", "there")), FakeDriver(blocks=2)
    run = scheduler(pool, driver)
    run.resting.add("here")
    run.expect([Step("sum up", INT8)])
    for _ in range(3):
        run.turn(0)
        assert not run.busy("here")
        pool.done()
    assert {at for _, at in pool.given} == {"b"}
    run.resting.clear()
    run.turn(0)
    assert run.busy("here")


def test_without_a_node_that_will_come_every_step_has_failed() -> None:
    pool, driver = FakePool(), FakeDriver()
    run = scheduler(pool, driver)
    run.expect([Step("sum up", INT8)])
    run.turn(0)
    assert not run.idle  # one may still join
    pool.why_none = UsageError("no node of the cluster is like this machine")
    run.turn(0)
    assert run.idle
    assert run.ended[Step("sum up", INT8)] is pool.why_none


def test_a_node_that_joins_is_used() -> None:
    pool, driver = FakePool(node("a")), FakeDriver(blocks=6)
    run = scheduler(pool, driver)
    run.expect([Step("sum up", INT8)])
    run.turn(0)
    pool.alive.append(node("b"))
    finish(run, pool)
    assert {at for _, at in pool.given} == {"a", "b"}


def test_what_another_process_is_at_is_asked_for_again_and_holds_nothing_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("quantbench.run.executors.scheduler._LATER_S", 0)
    pool, driver = FakePool(node("a")), FakeDriver()
    asked: list[Step] = []
    order = driver.order

    def claimed(step: Step) -> Order | None:
        if step == Step("build", INT8):
            asked.append(step)
            if len(asked) < 4:
                raise ClaimedError
            driver.stored.add(step)  # the other one has landed it
        return order(step)

    driver.order = claimed  # type: ignore[method-assign]
    run = scheduler(pool, driver)
    run.expect([Step("sum up", INT8), Step("sum up", FLOAT)])
    finish(run, pool)
    assert run.ended[Step("sum up", INT8)] is None
    assert Step("build", INT8) not in {step for step, _ in pool.given}


@pytest.mark.parametrize("seed", range(60))
def test_random_deaths_never_leave_a_step_without_an_end(seed: int) -> None:
    """Whatever dies whenever: every step ends, and is made once or has failed."""
    rng = random.Random(seed)
    pool = FakePool(*(node(f"n{i}", cpus=rng.randint(1, 3)) for i in range(4)))
    driver = FakeDriver(blocks=5)
    run = scheduler(pool, driver)
    run.expect([Step("compare", case) for case in CASES])
    for turn in range(3000):
        run.turn(0)
        if run.idle:
            break
        for step in list(pool.at):
            ends: list[Callable[[Step], None]] = [pool.die, pool.lose, pool.done, lambda _: None]
            rng.choices(ends, [1, 1, 4, 4])[0](step)
        if rng.random() < 0.05 and len(pool.alive) > 1:
            pool.drop(rng.choice(pool.alive).id)
        if rng.random() < 0.05:
            pool.alive.append(node(f"new{turn}"))
    assert run.idle
    assert len(driver.landed) == len(set(driver.landed))
    for case in CASES:
        made = all(shard in driver.landed for shard in driver.shards(case))
        assert made or run.ended[Step("sum up", case)] is not None
