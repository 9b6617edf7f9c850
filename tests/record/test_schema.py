"""Records as JSON: nothing invented, nothing lost when two halves of one case meet."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from quantbench import cases
from quantbench.record.energy import unknown_energy
from quantbench.record.schema import (
    SCHEMA,
    as_json,
    document,
    empty_record,
    judged_together,
    merged,
)
from quantbench.stats.comparison import Estimate

CASE = cases("digits_centernet")[3]


def record(**known: Any) -> dict[str, Any]:
    return empty_record(CASE) | known


def test_an_empty_record_invents_nothing() -> None:
    made = empty_record(CASE)
    assert made["case"] == "digits_centernet-int8_static-digit_scenes"
    assert made["backend"] == CASE.scheme.backend == "litert"
    assert made["latency"] is None
    assert made["artifact"] is None
    known = {name: value for name, value in made["energy"].items() if value}
    method = {"confidence": 0.95, "method": "mean over windows, Student's t"}
    assert known == {"provenance": "unavailable", **method}
    assert made["carbon"] is None
    assert set(made["timings_s"].values()) == {None}


def test_an_undefined_estimate_has_nulls() -> None:
    nan = float("nan")
    made = as_json(Estimate(nan, nan, nan, 0.95, 10, "undefined"))
    assert made["value"] is made["low"] is made["high"] is None
    json.dumps(made, allow_nan=False)


VERDICT = {"metric": "AP", "margin": 0.02, "outcome": "pass"}
LATENCY = {"median_ns": 1000, "iqr_ns": 10, "rounds": 5, "threads": 2, "delegate": "XNNPACK"}


@pytest.mark.parametrize("swapped", [False, True])
def test_what_one_half_does_not_know_the_other_keeps(swapped: bool) -> None:  # noqa: FBT001
    timed = record(latency=LATENCY)
    judged = record(verdicts=[VERDICT], metrics={"AP": {"value": 0.7}})
    both = merged(judged, timed) if swapped else merged(timed, judged)
    assert both["latency"] == LATENCY
    assert both["verdicts"] == [VERDICT]
    assert both["metrics"]["AP"]["value"] == 0.7


def test_the_same_verdict_is_kept_once_and_another_is_added() -> None:
    other = VERDICT | {"metric": "AP50"}
    both = merged(record(verdicts=[VERDICT]), record(verdicts=[VERDICT, other]))
    assert both["verdicts"] == [VERDICT, other]


def test_what_was_built_in_this_run_was_built() -> None:
    built = record(cache={"artifact": "built", "evidence": None})
    found = record(cache={"artifact": "hit", "evidence": "computed"})
    expected = {"artifact": "built", "evidence": "computed"}
    assert merged(built, found)["cache"] == merged(found, built)["cache"] == expected


def test_the_first_error_stands() -> None:
    first, second = ({"stage": "setup", "type": name, "message": name} for name in "ab")
    assert merged(record(error=first), record(error=second))["error"] == first
    assert merged(record(error=first), record())["error"] == first


@pytest.mark.parametrize("swapped", [False, True])
def test_energy_that_was_measured_stays_measured(swapped: bool) -> None:  # noqa: FBT001
    energy = unknown_energy() | {"joules_per_sample": 0.5, "provenance": "measured"}
    estimate = energy | {"joules_per_sample": 0.7, "provenance": "estimated"}
    for less in (unknown_energy(), estimate):
        measured, known = record(energy=energy), record(energy=less)
        both = merged(known, measured) if swapped else merged(measured, known)
        assert both["energy"] == energy


@pytest.mark.parametrize("swapped", [False, True])
def test_energy_of_other_work_is_kept_beside_it(swapped: bool) -> None:  # noqa: FBT001
    build = {"joules": 3.0, "provenance": "measured", "by": "a counter"}
    guessed = build | {"joules": 9.0, "provenance": "estimated"}
    timed = unknown_energy() | {"joules_per_sample": 0.5, "provenance": "measured"}
    built = unknown_energy() | {"build": build, "reason": "its model was not timed"}
    one, other = record(energy=timed | {"build": guessed}), record(energy=built)
    both = merged(other, one) if swapped else merged(one, other)
    assert both["energy"]["joules_per_sample"] == 0.5
    assert both["energy"]["build"] == build


def verdict(p_value: float, confidence: float = 0.95, **more: Any) -> dict[str, Any]:
    asked = {"expected": "pass", "against": "reference", "exact": False, "outcome": "pass"}
    return {"metric": "AP", "p_value": p_value, "confidence": confidence, **asked, **more}


def test_each_gate_is_held_to_its_own_confidence_in_the_family() -> None:
    family = [verdict(0.02, 0.9), verdict(0.04, 0.9), verdict(0.02), verdict(0.001, 0.99)]
    fallen = judged_together([record(verdicts=family)])
    assert [each["p_value_holm"] for each in family] == pytest.approx([0.06, 0.06, 0.06, 0.004])
    assert [each["outcome"] for each in family] == ["pass", "pass", "inconclusive", "pass"]
    assert [each for _, each in fallen] == [family[2]]
    alone = [verdict(0.09, 0.9)]
    assert judged_together([record(verdicts=alone)]) == []


def test_for_every_alpha_the_gates_asked_at_it_pass_falsely_together_at_most_so_often() -> None:
    """All at the margin's edge, half asked at 90 % and half at 95 %."""
    random = np.random.default_rng(8)
    runs, wrong = 4000, {0.9: 0, 0.95: 0}
    for _ in range(runs):
        family = [verdict(p, 0.9 if i % 2 else 0.95) for i, p in enumerate(random.random(6))]
        for each in family:  # each has passed by itself, or was never a pass
            each["outcome"] = "pass" if each["p_value"] <= 1 - each["confidence"] else "fail"
        judged_together([record(verdicts=family)])
        passed = {each["confidence"] for each in family if each["outcome"] == "pass"}
        wrong[0.9] += bool(passed)
        wrong[0.95] += 0.95 in passed
    for confidence, times in wrong.items():
        alpha = 1 - confidence
        assert times / runs <= alpha + 3 * (alpha * (1 - alpha) / runs) ** 0.5


def test_records_are_sorted_and_the_schema_is_named() -> None:
    made = document([record(case="b"), record(case="a")], {"c": "no"}, {"python": "3.11"})
    assert made["schema"] == SCHEMA == 3
    assert made["skipped"] == [{"case": "c", "reason": "no"}]
    assert [each["case"] for each in made["records"]] == ["a", "b"]
