"""The shared search on products of matrices: it finds the tensor that no range holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from quantbench.diagnosis.mending.judge import Loss
from quantbench.diagnosis.mending.search import BY_RULE, BY_TENSOR, search
from tests.diagnosis.products import ErrorJudge, Products, silent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quantbench.diagnosis.mending.judge import Judge

MARGIN = 0.05


@pytest.fixture(scope="module")
def model() -> Products:
    return Products()


def right(model: Products, judge: Judge) -> bool:
    """Whether what is found by this judge loses less than the margin by an honest one."""
    found = search(model, judge, MARGIN, silent)
    return found.as_notes()["passed"] and ErrorJudge(model).error(found.chosen.content) < MARGIN


def test_the_ops_around_the_tensor_that_no_range_holds_stay_in_float(model: Products) -> None:
    judge = ErrorJudge(model)
    found = search(model, judge, MARGIN, silent)
    why = dict(found.chosen.kept)
    assert why.pop("first") == "between ops in float"  # the input is in float
    assert set(why) == {"second", "third"}
    assert all("of the rounding noise" in each for each in why.values())
    assert (found.by, found.chosen.rule) == (BY_TENSOR, "tensor by tensor")
    # No rule would do.
    assert min(judge.error(model.build(each, {})) for each in model.settings.values()) > 2 * MARGIN
    assert right(model, judge)


class Agrees:
    """A mutant: whatever it is asked of is as good as the float model."""

    def agreement(self, content: bytes, samples: int) -> float:
        del content, samples
        return 1.0

    def loss(self, content: bytes) -> Loss:
        del content
        return Loss(0.0, 0.0, 1.0)

    def moved(self, content: bytes, samples: int) -> tuple[float, float]:
        del content, samples
        return 0.0, 0.0


def test_a_judge_that_always_agrees_is_noticed(model: Products) -> None:
    assert not right(model, Agrees())


def test_a_wide_margin_needs_no_op_in_float(model: Products) -> None:
    found = search(model, ErrorJudge(model), 0.9, silent)
    assert (found.by, found.chosen.kept) == (BY_RULE, {})
    assert found.chosen.rule in model.settings
    assert {each.rule for each in found.tried} == set(model.settings)
    judged = [each for each in found.tried if each.low is not None]
    assert len(judged) == 3
    assert found.chosen.low == max(each.least for each in judged)


def test_each_tensor_gets_the_ranges_that_cost_it_least(model: Products) -> None:
    judge = ErrorJudge(model)
    chosen = search(model, judge, 1e-9, silent).tried[-1].setting
    costs = {
        tensor: [judge.error(model.rounded_alone(each, tensor)) for each in model.settings.values()]
        for tensor in model.tensors
    }
    worst = max(costs, key=lambda tensor: min(costs[tensor]))
    assert worst == "b"
    assert judge.error(model.rounded_alone(chosen, worst)) == min(costs[worst])


class OneWay(Products):
    """Of a tool that chooses ranges itself: no tensor has a choice."""

    def alternatives(self, ranges: Mapping[str, Any], tensor: str) -> list[Mapping[str, Any]]:
        del ranges, tensor
        return []


class Closed(OneWay):
    """No tensor can be looked at alone either."""

    tensors = ()


def test_where_no_tensor_has_a_choice_ops_are_still_found() -> None:
    model = OneWay()
    found = search(model, ErrorJudge(model), MARGIN, silent)
    assert set(found.chosen.kept) >= {"second", "third"}
    assert found.chosen.rule in model.settings
    assert "tensor by tensor" not in {each.rule for each in found.tried}


def test_where_no_tensor_can_be_looked_at_the_output_tail_alone_is_tried() -> None:
    model = Closed()
    found = search(model, ErrorJudge(model), MARGIN, silent)
    assert {tuple(each.kept) for each in found.tried} == {(), ("fourth", "squash")}
    assert not found.as_notes()["passed"]


@pytest.mark.parametrize("most", [1, 2, 3])
def test_no_more_ops_and_weights_stay_in_float_than_are_allowed(
    model: Products, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    where = "quantbench.diagnosis.mending.search"
    monkeypatch.setattr(f"{where}._MOST_FLOAT", most)
    found = search(model, ErrorJudge(model), 1e-9, silent)
    assert max(len(each.kept) for each in found.tried) <= most
    monkeypatch.setattr(f"{where}._LITTLE", 3 * 64)  # one product
    light = search(model, ErrorJudge(model), 1e-9, silent)
    assert all(len(set(each.kept) - {"squash"}) <= 1 for each in light.tried)
