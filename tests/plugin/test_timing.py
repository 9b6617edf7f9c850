"""What counts as a case's latency."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Study

SECOND = """benchmark(sum, range(9))
    try: benchmark(quantized.predict, sample)
    except Exception: benchmark.has_error = False"""
TIMED = """
def test_timed(quantized, sample, benchmark):
    {}
"""


def record(study: Study) -> dict[str, Any]:
    document = json.loads((study.path / "out.json").read_text())["quantbench"]
    (found,) = (each for each in document["records"] if each["scheme"] == "same")
    assert isinstance(found, dict)
    return found


def run(study: Study, body: str) -> pytest.RunResult:
    study.write("same")
    study.add(TIMED.format(body))
    result = study.run("-k", "timed and same", "--benchmark-json", "out.json", "-W", "error")
    result.assert_outcomes(passed=1)
    return result


@pytest.mark.parametrize(
    "body",
    [
        "benchmark(quantized.predict, sample)",
        "benchmark(quantized.predict, prepared=sample)",
        "benchmark.pedantic(quantized.predict, args=(sample,), rounds=5)",
        "benchmark.pedantic(quantized.predict, (sample,), None, None, None, 5)",
    ],
)
def test_the_cases_own_prediction_is_its_latency(study: Study, body: str) -> None:
    result = run(study, body)
    assert record(study)["latency"]["rounds"] >= 2
    result.stdout.no_fnmatch_line("*timed something else*")


@pytest.mark.parametrize(
    "body",
    [
        "benchmark(sum, range(9))",
        "benchmark(quantized.predict, type(sample)(2))",
        "benchmark(lambda: quantized.predict(sample))",
        "benchmark.pedantic(sum, args=(range(9),), rounds=5)",
        SECOND,
    ],
)
def test_nothing_else_that_a_test_times_is_a_latency(study: Study, body: str) -> None:
    result = run(study, body)
    assert record(study)["latency"] is None
    assert "prefill_tokens_per_s" not in record(study)["metrics"]
    result.stdout.fnmatch_lines(["*test_timed?fake-same-numbers?: timed something else*"])
    said = [line for line in result.outlines if "timed something else" in line]
    assert len(said) == 1


def test_a_gate_on_latency_does_not_take_another_time(study: Study) -> None:
    study.write("same")
    study.add(TIMED.format("benchmark(sum, range(9))"))
    gate = 'non_inferior(evaluation, reference, metric="latency", margin="50%")'
    study.add(f"def test_gate(evaluation, reference):\n    assert {gate}\n")
    result = study.run("-k", "timed or gate")
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(["*latency of fake-same-numbers was not measured before its gate*"])


def test_decoding_is_timed_as_itself(study: Study) -> None:
    decoder = (
        "    def decoder(self, prepared):\n"
        "        def decode(): pass\n"
        "        decode.tokens = 7\n"
        "        return decode\n\n"
        "    def predict_all"
    )
    fakes = study.path / "fakes.py"
    fakes.write_text(fakes.read_text().replace("    def predict_all", decoder, 1))
    study.write("same")
    study.add("def test_timed(decoding, benchmark):\n    benchmark(decoding)\n")
    study.add("def test_other(decoding, benchmark):\n    benchmark(sum, range(9))\n")
    for test, known in (("timed", True), ("other", False)):
        study.run("-k", f"{test} and same", "--benchmark-json", "out.json").assert_outcomes(
            passed=1
        )
        assert ("decode_tokens_per_s" in record(study)["metrics"]) is known
        assert record(study)["latency"] is None
