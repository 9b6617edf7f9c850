"""What a verdict does in a run: undecided, early, beside others, against a baseline, on times."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Study


def records(study: Study, name: str = "out.json") -> dict[str, dict[str, Any]]:
    document = json.loads((study.path / name).read_text())["quantbench"]
    return {record["scheme"]: record for record in document["records"]}


def test_an_undecided_verdict_says_what_would_settle_it(study: Study) -> None:
    study.write("close")
    result = study.run("-k", "accuracy", "--quant-samples", "180")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "verdict: *inconclusive*",
            "values: *0.??? [[]*, the reference's 0.*",
            "flips: *?? right before and wrong now, ?? the other way",
            "method: *Tango score",
            "to settle: *samples (80 % power) would make it a *, if they are fixed before *",
        ]
    )


def test_another_failure_is_not_left_green_with_it(study: Study) -> None:
    study.write("close")
    path = study.path / "test_fake.py"
    path.write_text(
        path.read_text()
        + "\n    def test_other(self, quantized):\n        assert False\n"
        + "\n    def test_more(self, evaluation):\n        assert len(evaluation.rows) < 3\n"
    )
    result = study.run("-k", "close", "--quant-samples", "200", "--quant-inconclusive", "pass")
    result.assert_outcomes(passed=2, failed=2)


def test_an_undecided_verdict_can_be_left_green(study: Study) -> None:
    study.write("close", "worse")
    options = ("-k", "accuracy", "--quant-samples", "200", "--benchmark-json", "out.json")
    result = study.run(*options, "--quant-inconclusive", "pass")
    result.assert_outcomes(passed=2, failed=1)  # a failure stays one
    result.stdout.fnmatch_lines(["*close *inconclusive*"])
    (verdict,) = records(study)["close"]["verdicts"]
    assert verdict["outcome"] == "inconclusive"
    assert verdict["flips"] == [50, 40]


@pytest.mark.parametrize(
    ("option", "word"), [("inconclusive", "maybe"), ("sequential", "yes"), ("familywise", "none?")]
)
def test_unknown_words_are_refused_with_the_known_ones(
    study: Study, option: str, word: str
) -> None:
    study.write("same")
    result = study.run(f"--quant-{option}", word)
    assert result.ret == 4
    result.stderr.fnmatch_lines([f"*--quant-{option}*", "*expected: * or *"])


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_a_pass_that_is_not_certain_beside_the_others_is_a_failed_test(
    study: Study, workers: tuple[str, ...]
) -> None:
    """ "near" is certain at 95 % alone (p about .03), and not as one of three (Holm)."""
    study.write("near", "as_near", "same")
    options = ("-k", "accuracy", "--benchmark-json", "out.json", "--junit-xml", "junit.xml")
    result = study.run(*options, *workers)
    result.assert_outcomes(passed=2, failed=2)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "*accuracy, margin 0.05, p 0.0*, corrected 0.*: its pass is taken back*",
            "*near *inconclusive*",
            "FAILED test_fake.py::TestFake::test_accuracy?fake-near-numbers?*",
        ]
    )
    (verdict,) = records(study)["near"]["verdicts"]
    assert verdict["p_value"] < 0.05 < verdict["p_value_holm"]
    suite, failures = junit(study)
    assert suite == {"tests": "4", "failures": "2", "errors": "0", "skipped": "0"}
    assert list(failures) == [f"test_accuracy[fake-{name}-numbers]" for name in ("as_near", "near")]
    message, said = failures["test_accuracy[fake-near-numbers]"]
    assert "its pass is taken back" in message
    assert said == {"quantbench.verdict.accuracy": "inconclusive"}
    for more in (("--quant-familywise", "none"), ("--quant-inconclusive", "pass")):
        green = study.run(*options, *workers, *more)
        green.assert_outcomes(passed=4)
        assert green.ret == 0
        assert junit(study)[1] == {}


def junit(study: Study) -> tuple[dict[str, str], dict[str, tuple[str, dict[str, str]]]]:
    """Counts, and of each failed test message and properties."""
    tree = ET.parse(study.path / "junit.xml")  # noqa: S314 - our own file
    (suite,) = tree.iter("testsuite")
    counts = {name: suite.get(name, "") for name in ("tests", "failures", "errors", "skipped")}
    tests = list(suite.iter("testcase"))
    assert len(tests) == int(counts["tests"])
    failed = {
        test.get("name", ""): (
            failure.get("message", ""),
            {each.get("name", ""): each.get("value", "") for each in test.iter("property")},
        )
        for test in tests
        for failure in test.iter("failure")
    }
    return counts, dict(sorted(failed.items()))


def test_a_gate_of_lower_confidence_is_held_to_its_own(study: Study) -> None:
    """Two with a p of about .03: certain at 90 % beside each other, at 95 % they would not be."""
    study.write("near", "as_near")
    path = study.path / "test_fake.py"
    path.write_text(path.read_text().replace("margin=0.05", "margin=0.05, confidence=0.9"))
    result = study.run("-k", "accuracy", "--benchmark-json", "out.json")
    assert result.ret == 0
    (verdict,) = records(study)["near"]["verdicts"]
    assert 0.05 < verdict["p_value_holm"] < 0.1


def test_two_gates_of_a_test_are_told_apart_when_one_falls(study: Study) -> None:
    study.write("near", "as_near", "same")
    path = study.path / "test_fake.py"
    more = '        assert non_inferior(evaluation, reference, metric="lost", margin=0.2)\n'
    path.write_text(path.read_text() + more)
    result = study.run("-k", "accuracy")
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.no_fnmatch_line("lost, margin*taken back*")


def test_the_reference_and_declared_failures_are_no_members_of_the_family(study: Study) -> None:
    study.write("same", "worse", known_failures={"worse": "two bits are too few"})
    result = study.run("-k", "accuracy", "--benchmark-json", "out.json")
    assert result.ret == 0
    found = records(study)
    assert "p_value_holm" in found["same"]["verdicts"][0]
    assert "p_value_holm" not in found["float"]["verdicts"][0]
    assert "p_value_holm" not in found["worse"]["verdicts"][0]


def test_a_certain_verdict_stops_early_and_the_record_says_so(study: Study) -> None:
    study.write("worse", "same")
    result = study.run("-k", "accuracy", "--quant-sequential", "on", "--benchmark-json", "out.json")
    result.assert_outcomes(passed=2, failed=1)
    found = records(study)
    used = {name: record["dataset"]["n"] for name, record in found.items()}
    assert used["worse"] == 50
    assert 50 <= used["same"] < 400
    assert found["worse"]["dataset"]["of"] == 400
    assert len(found["worse"]["evidence"]["keys"]) == 1
    for record in found.values():
        assert record["metrics"]["lost"]["n"] == record["dataset"]["n"]
    result.stdout.fnmatch_lines(["samples: *50 of 400, stopped when certain"])
    again = study.run("-k", "accuracy", "--quant-sequential", "on")
    again.assert_outcomes(passed=2, failed=1)
    assert study.builds() == ["float", "worse", "same"]


@pytest.mark.parametrize(("gate", "used"), [("perplexity", 400), ("lost", 50)])
def test_what_has_no_such_bounds_is_judged_once_on_all(study: Study, gate: str, used: int) -> None:
    study.write("same")
    path = study.path / "test_fake.py"
    path.write_text(
        path.read_text().replace('metric="accuracy", margin=0.05', f'metric="{gate}", margin=.9')
    )
    study.run(
        *("-k", "accuracy and same", "--quant-sequential", "on", "--benchmark-json", "out.json")
    ).assert_outcomes(passed=1)
    record = records(study)["same"]
    assert record["dataset"]["n"] == used
    assert record["metrics"]["lost"]["n"] == used


LATENCY = """

@pytest.mark.parametrize("case", CASES, ids=str)
def test_is_as_fast(evaluation, reference):
    assert non_inferior(evaluation, reference, metric="latency", margin={margin!r})
    assert non_inferior(evaluation, reference, metric="weights_bytes", margin="1%")
"""


def with_latency_gate(study: Study, margin: object) -> None:
    study.write("slow")
    path = study.path / "test_fake.py"
    path.write_text(path.read_text() + LATENCY.format(margin=margin))


def test_times_are_compared_by_ranks_and_bytes_exactly(study: Study) -> None:
    with_latency_gate(study, "50%")
    result = study.run("--benchmark-json", "out.json", "--benchmark-min-rounds=20")
    result.assert_outcomes(passed=5, failed=1)
    result.stdout.fnmatch_lines(["*<fail: latency*", "*method: *ratio of times*"])
    slow, fast = (records(study)[name]["verdicts"] for name in ("slow", "float"))
    assert [v["metric"] for v in fast] == ["accuracy", "latency", "weights_bytes"]
    (latency,) = (v for v in slow if v["metric"] == "latency")
    assert latency["outcome"] == "fail"
    assert latency["difference"] > 0.5
    assert latency["relative"]


def test_a_time_that_was_not_measured_is_no_verdict(study: Study) -> None:
    with_latency_gate(study, "50%")
    result = study.run("-k", "fast and slow")
    result.stdout.fnmatch_lines(["*latency of fake-slow-numbers was not measured before its gate*"])


def test_a_margin_on_times_in_seconds_is_refused(study: Study) -> None:
    with_latency_gate(study, 0.001)
    study.run("-k", "slow").stdout.fnmatch_lines(["*margin on latency is a share*"])


def accepted(study: Study, *options: str) -> None:
    """Run, and accept what came out."""
    study.run("-k", "accuracy", "--benchmark-json", "accepted.json", *options)
    study.command("accept", "accepted.json", "-o", "baseline.json")


def test_a_baseline_is_a_second_gate_on_the_same_samples(study: Study) -> None:
    study.write("drifting")
    accepted(study)
    options = ("-k", "accuracy", "--quant-baseline", "baseline.json")
    result = study.run(*options)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        ["  drifting against the baseline: accuracy pass, +0.000 *(same samples, in pairs)"]
    )
    study.drift(25)  # the same scheme, built anew, has lost 5 points of the accepted run's
    result = study.run(*options)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["values: *the baseline's 0.8", "difference: *-0.050 *to the baseline"]
    )
    result.stdout.no_fnmatch_line("*the float model itself*")


def test_a_float_model_that_moved_is_said_to_be_the_float_model(study: Study) -> None:
    study.write("same")
    accepted(study)
    fakes = study.path / "fakes.py"
    fakes.write_text(fakes.read_text().replace("known.get(scheme.name, 20)", "30"))
    shutil.rmtree(study.path / "cache" / "artifact")
    result = study.run("-k", "accuracy and float", "--quant-baseline", "baseline.json")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "case: *fake-float-numbers, the float model itself",
            "note: *it is worse than the float model that was accepted*",
            "  float is the float model itself: it is worse than*",
        ]
    )


def test_without_the_accepted_evidence_intervals_are_compared(study: Study) -> None:
    study.write("drifting")
    accepted(study)
    for folder in (study.path / "cache" / "evidence").iterdir():
        folder.rename(study.path / folder.name)
    result = study.run("-k", "accuracy", "--quant-baseline", "baseline.json")
    # The evidence is made again, and has the same key: it is there after all.
    result.stdout.fnmatch_lines(["*against the baseline: accuracy pass*in pairs*"])
    baseline = json.loads((study.path / "baseline.json").read_text())
    for entry in baseline["cases"].values():
        entry["evidence"] = ["0" * 64]
    (study.path / "baseline.json").write_text(json.dumps(baseline))
    result = study.run("-k", "accuracy", "--quant-baseline", "baseline.json")
    result.stdout.fnmatch_lines(["*against the baseline: *(by intervals, not in pairs)"])


def test_a_case_that_the_baseline_lacks_is_named(study: Study) -> None:
    study.write("drifting")
    accepted(study)
    study.write("drifting", "same")
    result = study.run("-k", "accuracy", "--quant-baseline", "baseline.json")
    result.stdout.fnmatch_lines(["*same against the baseline: not in it"])
    both = ("--quant-baseline", "baseline.json", "--quant-sequential", "on")
    assert study.run(*both).ret == 4


def test_a_baseline_of_other_samples_is_refused(study: Study) -> None:
    study.write("drifting")
    accepted(study, "--quant-samples", "100")
    result = study.run("-k", "accuracy", "--quant-baseline", "baseline.json")
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*RecordError: fake-* was accepted on other samples*"])


def test_a_baseline_that_is_none_is_refused_before_any_work(study: Study) -> None:
    study.write("same")
    assert study.run("--quant-baseline", "nowhere.json").ret == 4
    (study.path / "baseline.json").write_text('{"something": "else"}')
    result = study.run("--quant-baseline", "baseline.json")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*no baseline*"])
    assert study.builds() == []


def test_cases_on_a_gpu_are_marked_and_named_so(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.write("same")
    path = study.path / "test_fake.py"
    text = path.read_text()
    path.write_text(text.replace("known_errors={})", 'known_errors={}, device="cuda")'))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    result = study.run("-rs", "-v")
    result.assert_outcomes(skipped=4)
    result.stdout.fnmatch_lines(["*fake-same-numbers-cuda*SKIPPED*", "*no CUDA device*"])
    assert len(study.run("--collect-only", "-q", "-m", "gpu").outlines) >= 4


def test_a_runner_that_does_not_generate_cannot_be_timed_at_it(study: Study) -> None:
    study.write("same")
    path = study.path / "test_fake.py"
    path.write_text(
        path.read_text()
        + "\n    def test_decoding(self, decoding, benchmark):\n        benchmark(decoding)\n"
    )
    result = study.run("-k", "decoding and same")
    result.stdout.fnmatch_lines(["*has a runner that does not generate*"])


def test_early_stops_hold_beside_each_other(study: Study) -> None:
    """Ten schemes that say what the float model says: each stops where Holm lets it pass."""
    study.write("same")
    path = study.path / "test_fake.py"
    names = ", ".join(f'"like_{i}"' for i in range(10))
    path.write_text(path.read_text().replace('"same"', names).replace("'same'", names))
    result = study.run("-k", "accuracy", "--quant-sequential", "on", "--benchmark-json", "out.json")
    result.assert_outcomes(passed=11)
    used = {record["dataset"]["n"] for name, record in records(study).items() if name != "float"}
    assert max(used) < 400


def test_sixty_clear_passes_pass(study: Study) -> None:
    """Of a metric that is no mean over samples: its p-values fall as far as Holm asks.

    From 51 gates on, p-values that 1,000 draws can show were too large.
    """
    study.write("near")
    path = study.path / "test_fake.py"
    text = path.read_text().replace(
        'metric="accuracy", margin=0.05', 'metric="word_top5", margin=.3'
    )
    names = ", ".join(f'"like_{i}"' for i in range(60))
    path.write_text(text.replace('"near"', names).replace("'near'", names))
    study.run("-k", "accuracy", "-q").assert_outcomes(passed=61)


def test_a_mended_metric_is_counted_again_without_new_inference(study: Study) -> None:
    """Code that counts is part of the key of what it counted; rows are not touched."""
    study.write("near")
    study.run("-k", "accuracy", "--benchmark-json", "out.json")
    before = records(study)["near"]
    fakes = study.path / "fakes.py"
    fakes.write_text(
        fakes.read_text().replace(
            "return language.summarise(rows, weights)",
            'return {**language.summarise(rows, weights), "perplexity": 7 * weights[:, 0]}',
        )
    )
    study.run("-k", "accuracy", "--benchmark-json", "out.json")
    after = records(study)["near"]
    assert after["metrics"]["perplexity"]["value"] == 7 != before["metrics"]["perplexity"]["value"]
    assert after["cache"]["evidence"] == "hit"
