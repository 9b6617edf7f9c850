"""One case on several machines: digests decide what is alike, costs stand side by side."""

from __future__ import annotations

import json
from typing import Any

import pytest

from quantbench.errors import RecordError
from quantbench.record.energy import unknown_energy
from quantbench.report.machines import FORMATS, side_by_side
from tests.report.conftest import detection


def run(
    processor: str, artifact: str, evidence: str, milliseconds: float, **more: Any
) -> dict[str, Any]:
    record = detection("int8_static", 0.69) | {
        "artifact": {"sha256": artifact * 64, "size_bytes": 9},
        "evidence": {"keys": [], "sha256": evidence * 64, "protocol": "cd" * 32},
        "latency": {"median_ns": milliseconds * 1e6},
        **more,
    }
    environment = {"processor": processor, "platform": "Linux", "instruction_sets": ["avx2"]}
    return {"environment": environment, "records": [record]}


def test_artifacts_and_answers_are_told_apart() -> None:
    rows = side_by_side(
        [
            ("a.json", run("Laptop", "a", "1", 5.0)),
            ("b.json", run("Server", "a", "1", 2.0)),
            ("c.json", run("Old", "a", "2", 9.0)),
            ("d.json", run("Other", "b", "2", 9.0)),
        ]
    )
    assert [row["artifact"] for row in rows] == ["first", "same", "same", "differ"]
    assert [row["answers"] for row in rows] == ["first", "same", "differ", "differ"]
    text = FORMATS["table"](rows)
    assert "1 case of one artifact with other answers" in text


def test_answers_to_other_samples_are_not_compared() -> None:
    other = {"dataset": {"name": "digit_scenes", "n": 5, "sha256": "e" * 64}}
    rows = side_by_side([("a", run("L", "a", "1", 5.0)), ("b", run("S", "a", "2", 2.0, **other))])
    assert rows[1]["answers"] == "other samples or protocol"


def test_costs_stand_side_by_side_in_every_form() -> None:
    drawn = unknown_energy() | {"joules_per_sample": 0.5, "provenance": "measured", "by": "RAPL: x"}
    guess = drawn | {"provenance": "estimated", "by": "15 W"}
    rows = side_by_side(
        [
            ("a.json", run("Laptop", "a", "1", 5.0, energy=drawn)),
            ("b.json", run("Server", "a", "1", 2.0, energy=guess)),
        ]
    )
    lines = FORMATS["table"](rows).splitlines()
    assert lines[0].split()[-2:] == ["latency", "energy"]
    assert lines[1].endswith("5 ms   0.5 J")
    assert lines[2].endswith("2 ms  ~0.5 J")
    assert "avx2" in lines[1]
    assert "energy by RAPL: x" in lines
    assert "| ~0.5 J |" in FORMATS["markdown"](rows)
    assert "estimated" in FORMATS["csv"](rows)
    assert json.loads(FORMATS["json"](rows))[0]["joules"] == 0.5


def test_a_case_of_one_run_alone_is_left_out() -> None:
    both = run("Laptop", "a", "1", 5.0)
    both["records"].append(detection("float32", 0.7))
    rows = side_by_side([("a", both), ("b", run("Server", "a", "1", 2.0))])
    assert {row["case"] for row in rows} == {"digits_centernet-int8_static-digit_scenes"}
    with pytest.raises(RecordError, match="share a case"):
        side_by_side([("a", both), ("b", {"environment": {}, "records": []})])


def test_what_older_files_do_not_say_is_not_recorded() -> None:
    old = run("", "a", "1", 5.0)
    old["environment"] = None
    old["records"][0]["evidence"] = None
    rows = side_by_side([("a", old), ("b", run("Server", "a", "1", 2.0))])
    assert rows[0]["machine"] == rows[0]["instruction_sets"] == "not recorded"
    assert [row["answers"] for row in rows] == ["not recorded", "not recorded"]
