"""Records as JSON: nothing invented, nothing lost when two halves of one case meet."""

from __future__ import annotations

import json
from typing import Any

import pytest

from quantbench import cases
from quantbench.record.schema import SCHEMA, as_json, document, empty_record, merged
from quantbench.stats.comparison import Estimate

CASE = cases("digits_centernet")[3]


def record(**known: Any) -> dict[str, Any]:
    return empty_record(CASE) | known


def test_an_empty_record_invents_nothing() -> None:
    made = empty_record(CASE)
    assert made["case"] == "digits_centernet-int8_static-digit_scenes"
    assert made["latency"] is None
    assert made["artifact"] is None
    assert made["energy"] == {"joules_per_sample": None, "provenance": "unavailable"}
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


def test_records_are_sorted_and_the_schema_is_named() -> None:
    made = document([record(case="b"), record(case="a")], {"c": "no"}, {"python": "3.11"})
    assert made["schema"] == SCHEMA == 2
    assert made["skipped"] == [{"case": "c", "reason": "no"}]
    assert [each["case"] for each in made["records"]] == ["a", "b"]
