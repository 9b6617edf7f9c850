"""Walks over a graph, whatever its tensors are called."""

from __future__ import annotations

from quantbench.diagnosis.regions import regions
from quantbench.diagnosis.wiring import closed, smaller, tail
from tests.diagnosis.products import CARRIES, CHAIN, Graph

FORK = Graph(
    ("Product", "body", "x w", "a"),
    ("Product", "left", "a wl", "b"),
    ("Product", "right", "a wr", "c"),
    ("Add", "sum", "b c", "d"),
    outputs="d",
)


def test_the_tail_reaches_back_to_the_weights() -> None:
    assert [op.name for op in tail(CHAIN, CARRIES)] == ["fourth", "squash"]
    assert [op.name for op in tail(CHAIN, frozenset())] == ["squash"]
    assert [op.name for op in tail(FORK, {"Add"})] == ["left", "right", "sum"]


def test_an_op_between_ops_in_float_stays_in_float_too() -> None:
    around = {"first": "chosen", "third": "chosen"}
    assert closed(CHAIN, around) == around | {"second": "between ops in float"}
    assert closed(CHAIN, {}) == {}
    assert closed(FORK, {"body": "", "sum": ""}).keys() == {"body", "left", "right", "sum"}


def test_what_lies_between_others_is_not_given_back() -> None:
    kept = dict.fromkeys(("first", "second", "third"), "")
    # The input is in float: without the first op it would lie between floats too.
    assert [set(names) for names in smaller(CHAIN, kept)] == [{"first", "second"}]
    assert smaller(CHAIN, {"first": ""}) == []


def test_ops_are_left_in_float_for_the_tensor_between_them() -> None:
    cost = dict.fromkeys("acd", 0.01) | {"b": 1.0}
    first, *_ = regions(CHAIN, CARRIES, cost, set(), 12)
    assert set(first) == {"second", "third"}
    assert all("of the rounding noise" in why for why in first.values())
    # What is saved already draws nothing on.
    assert not any(
        set(after) & set(first) for after in regions(CHAIN, CARRIES, cost, set(first), 12)
    )
    assert all(len(region) <= 2 for region in regions(CHAIN, CARRIES, cost, set(), 2))


def test_a_tensor_that_two_ops_read_needs_both_in_float() -> None:
    first, *_ = regions(FORK, frozenset(), {"a": 1.0}, set(), 12)
    assert set(first) == {"body", "left", "right"}


def test_the_output_tail_is_tried_whatever_it_costs() -> None:
    (*_, last) = regions(CHAIN, CARRIES, {"a": 1.0}, set(), 12)
    assert last == dict.fromkeys(("fourth", "squash"), "output tail")
    assert regions(CHAIN, CARRIES, {}, {"fourth", "squash"}, 12) == []
