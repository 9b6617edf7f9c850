"""A case that is slower than its reference is timed op by op, where that was asked for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

    from tests.plugin.conftest import Study


def speeds(study: Study) -> dict[str, Any]:
    document = json.loads((study.path / "out.json").read_text())["quantbench"]
    return {record["scheme"]: record["speed"] for record in document["records"]}


def run(study: Study, *arguments: str) -> pytest.RunResult:
    study.write("slow")
    result = study.run("-k", "latency", "--benchmark-json", "out.json", "-rA", *arguments)
    result.assert_outcomes(passed=2)
    return result


def test_the_record_and_the_terminal_say_where_its_time_goes(study: Study) -> None:
    result = run(study, "--quant-diagnose", "quick")
    result.stdout.fnmatch_lines(
        [
            "*quantbench: why slower*",
            "one inference: 2.10 ms, 21.00 times slower than fake-float-numbers (0.10 ms)",
            "*1. 1 SLEEP run outside fast: 2.00 of 2.10 ms, none in float",
            "*SLEEP *2.00*",
        ]
    )
    found = speeds(study)
    assert found["float"] is None
    assert found["slow"]["beside"] == "fake-float-numbers"
    (inference,) = found["slow"]["inferences"]
    assert [op["kind"] for op in inference["quantized"]["ops"]] == ["LOOK_UP", "SLEEP"]


def test_nothing_is_timed_where_nobody_asked(study: Study) -> None:
    run(study).stdout.no_fnmatch_line("*why slower*")
    assert set(speeds(study).values()) == {None}


def test_a_profiler_that_breaks_costs_no_result(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_PROFILE", "broken")
    result = run(study, "--quant-diagnose", "quick")
    result.stdout.fnmatch_lines(["no diagnosis: timing fake-*-numbers op by op failed*"])
    assert set(speeds(study).values()) == {None}
