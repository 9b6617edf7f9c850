"""Energy in a run: measured by a counter, estimated by a rate, or unavailable and why."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Study

# A counter that draws 20 W, in a process whose windows are short.
METER = """
import functools
import time

import quantbench.run.session as session
from quantbench.measure.energy import windows

windows._LEAST_WINDOW_S, windows._IDLE_S = 0.02, 0.02


class Meter:
    name, counts = "fake", "the whole test"

    def joules(self):
        return 20 * int(time.perf_counter() * 1e4) / 1e4


session.Session = functools.partial(session.Session, meter=lambda device: Meter())
"""
GATE = """
def test_energy(case, evaluation, reference):
    assert non_inferior(evaluation, reference, metric="energy", margin="{margin}")
"""


def records(study: Study) -> dict[str, dict[str, Any]]:
    listed = json.loads((study.path / "out.json").read_text())["quantbench"]["records"]
    return {record["scheme"]: record for record in listed}


def test_a_rate_makes_an_estimate_of_all_work(study: Study) -> None:
    study.write("same")
    study.run("--benchmark-json", "out.json", "--quant-watts", "15", "--quant-grid", "0.21")
    record = records(study)["same"]
    energy, carbon = record["energy"], record["carbon"]
    assert energy["provenance"] == "estimated"
    assert energy["by"] == "15 W as stated (--quant-watts) times wall time"
    assert energy["low"] <= energy["joules_per_sample"] <= energy["high"]
    assert energy["joules_per_prefill_token"] == pytest.approx(energy["joules_per_sample"] / 3)
    assert energy["build"]["joules"] == pytest.approx(15 * record["timings_s"]["build"])
    assert energy["evaluation"]["joules"] == pytest.approx(15 * record["timings_s"]["predict"])
    grams = energy["joules_per_sample"] * 1e6 / 3.6e6 * 0.21 * 1000
    assert carbon["grams_co2e_per_million"] == pytest.approx(grams)
    assert carbon["source"] == "stated (--quant-grid)"


def test_without_either_the_reason_and_the_next_step_stand_in_the_record(study: Study) -> None:
    study.pytester.makeconftest(
        METER.split("class Meter", maxsplit=1)[0] + "from quantbench.errors import MeterError\n"
        "def none(device):\n    raise MeterError('no counter', remedy='--quant-watts 15')\n"
        "session.Session = functools.partial(session.Session, meter=none)\n"
    )
    study.write("same")
    study.run("--benchmark-json", "out.json")
    energy = records(study)["same"]["energy"]
    assert (energy["joules_per_sample"], energy["provenance"]) == (None, "unavailable")
    assert energy["reason"] == "no counter; --quant-watts 15"
    assert energy["build"] is energy["evaluation"] is None


def test_a_counter_measures_all_work_and_the_artifact_keeps_its_share(study: Study) -> None:
    study.pytester.makeconftest(METER)
    study.write("same")
    study.run("--benchmark-json", "out.json", "--quant-watts", "1")
    record = records(study)["same"]
    energy = record["energy"]
    assert energy["provenance"] == "measured"
    assert energy["by"] == "fake: the whole test"
    assert energy["idle_watts"] == pytest.approx(20, rel=0.2)
    assert energy["joules_per_sample"] == pytest.approx(20 * energy["seconds"], rel=0.2)
    assert energy["build"]["provenance"] == energy["evaluation"]["provenance"] == "measured"
    assert "energy_spent" not in record["build"]
    study.pytester.makeconftest("")
    study.run("--benchmark-json", "out.json")
    again = records(study)["same"]["energy"]
    assert again["build"] == energy["build"]
    assert again["evaluation"] == energy["evaluation"]


def test_measured_energy_is_gated_as_latency_is(study: Study) -> None:
    study.pytester.makeconftest(METER)
    study.write("slow")
    study.add(GATE.format(margin="50%"))
    result = study.run("--benchmark-json", "out.json")
    result.assert_outcomes(passed=5, failed=1)  # "slow" waits for two milliseconds
    (verdict,) = [v for v in records(study)["slow"]["verdicts"] if v["metric"] == "energy"]
    assert verdict["outcome"] == "fail"
    assert verdict["low"] > 0.5
    assert verdict["method"].startswith("ratio of joules")


def test_the_page_s_tests_measure_and_gate(study: Study) -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "energy.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    named = 'cases("digits_centernet")'
    assert named in code
    mine = code.replace(named, 'cases(model("slow"))')
    study.pytester.makeconftest(METER)
    study.pytester.makepyfile(test_mine=f"from fakes import model\n{mine}")
    study.run("--benchmark-json", "out.json").assert_outcomes(passed=3, failed=1)
    assert records(study)["float"]["verdicts"][0]["outcome"] == "pass"
    (verdict,) = records(study)["slow"]["verdicts"]
    assert (verdict["metric"], verdict["outcome"]) == ("energy", "fail")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--quant-watts", "15"], "*estimated: a gate on it would be one on latency*"),
        ([], "*was not measured before its gate*"),
    ],
)
def test_an_energy_that_was_not_measured_is_not_gated(
    study: Study, options: list[str], says: str
) -> None:
    study.write("same")
    study.add(GATE.format(margin="10%"))
    study.run("-k", "energy or latency", *options).stdout.fnmatch_lines([says])


def test_beside_other_workers_nothing_is_measured(study: Study) -> None:
    study.pytester.makeconftest(METER)
    study.write("same")
    study.run("--benchmark-json", "out.json", "-n", "2")
    energy = records(study)["same"]["energy"]
    assert energy["joules_per_sample"] is None
    assert "without -n" in energy["reason"]


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--quant-watts", "0", "more than 0"),
        ("--quant-watts", "nan", "more than 0"),
        ("--quant-watts", "15W", "more than 0"),
        ("--quant-grid", "210", "210 g are 0.21"),
        ("--quant-grid", "1,5", "kg CO2e a kWh"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused(
    study: Study, option: str, value: str, message: str
) -> None:
    study.write("same")
    result = study.run(f"{option}={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{message}*"])


def test_rate_and_grid_are_taken_from_ini_and_environment(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.write()
    study.pytester.makeini("[pytest]\nquant_watts = 10\nquant_grid = 0.1")
    monkeypatch.setenv("QUANTBENCH_WATTS", "20")
    study.run("--benchmark-json", "out.json")
    record = records(study)["float"]
    assert record["energy"]["by"].startswith("20 W")
    assert record["carbon"]["kg_co2e_per_kwh"] == 0.1
