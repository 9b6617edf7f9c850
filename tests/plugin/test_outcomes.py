"""Green, red and skipped: what a verdict, a declaration and a lack do to a test."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from tests.plugin.conftest import Study


def test_a_worse_case_fails_with_a_readable_block(study: Study) -> None:
    study.write("worse")
    result = study.run("-k", "accuracy")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*assert <fail: accuracy 0.5 against 0.8*",
            "case: *fake-worse-numbers",
            "verdict: *fail (declared: pass)",
            "difference: *-0.300 *to the reference",
            "margin: *0.05*",
            "samples: *400",
        ]
    )


def test_why_a_case_fails_is_asked_for_and_costs_no_verdict(study: Study) -> None:
    """The stand-in has no diagnosis: the failure stays, and the reason is told."""
    study.write("worse")
    result = study.run("-k", "accuracy", "--quant-diagnose", "quick")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["*quantbench: why*", "no diagnosis: the backend fake says nothing*"]
    )
    silent = study.run("-k", "accuracy")
    silent.stdout.no_fnmatch_line("*quantbench: why*")


def test_a_declared_collapse_is_green_and_strict(study: Study) -> None:
    study.write("worse", known_failures={"worse": "two bits are too few"})
    result = study.run("-k", "accuracy", "-rx")
    result.assert_outcomes(passed=1, xfailed=1)
    result.stdout.fnmatch_lines(["*worse*fail, declared*", "*two bits are too few*"])


def test_a_declared_collapse_that_passes_is_red(study: Study) -> None:
    study.write("same", known_failures={"same": "it was bad once"})
    study.run("-k", "accuracy").assert_outcomes(passed=1, failed=1)


def test_a_declared_collapse_that_is_undecided_is_red(study: Study) -> None:
    study.write("close", known_failures={"close": "it should fail"})
    result = study.run("-k", "accuracy", "--quant-samples", "260")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*declared to fail, but its verdict is inconclusive*"])


def test_another_failure_does_not_stand_for_a_declared_collapse(study: Study) -> None:
    study.write("worse", known_failures={"worse": "two bits are too few"})
    path = study.path / "test_fake.py"
    path.write_text(
        path.read_text().replace(
            "        assert non_inf", "        assert evaluation is None\n        assert non_inf"
        )
    )
    result = study.run("-k", "accuracy and worse")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*declared to fail, but it was not judged*"])
    path.write_text(
        path.read_text()
        .replace("        assert evaluation is None\n", "")
        .replace("margin=0.05)", "margin=0.05)\n        assert evaluation is None")
    )
    study.run("-k", "accuracy and worse").assert_outcomes(failed=1)


def test_a_runner_stays_open_while_its_reference_is_evaluated(study: Study) -> None:
    study.write("same")
    (study.path / "test_fake.py").write_text(
        "import pytest\n"
        "from fakes import model\n"
        "from quantbench import cases\n"
        "@pytest.mark.parametrize('case', cases(model('same'))[1:], ids=str)\n"
        "def test_it(quantized, sample, evaluation, reference):\n"
        "    assert not quantized.closed\n"
        "    quantized.predict(sample)\n"
    )
    study.run().assert_outcomes(passed=1)


def test_two_cases_of_one_name_are_refused(study: Study) -> None:
    study.write("same")
    other = (
        (study.path / "test_fake.py")
        .read_text()
        .replace("model('same')", "replace(model('same'), note='other')")
    )
    (study.path / "test_other.py").write_text("from dataclasses import replace\n" + other)
    result = study.run()
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*two different cases are named fake-*"])


def test_a_gpu_test_is_skipped_by_name_and_can_be_required(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    (study.path / "test_gpu.py").write_text(
        "import pytest\n@pytest.mark.gpu\ndef test_it(): pass\n"
    )
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    study.run("-rs").stdout.fnmatch_lines(["*SKIPPED*no CUDA device*"])
    monkeypatch.setenv("QUANTBENCH_REQUIRE", "gpu")
    study.run().assert_outcomes(errors=1)


def test_a_declared_collapse_that_cannot_be_built_is_red(study: Study) -> None:
    study.write("broken", known_failures={"broken": "it should fail, not break"})
    study.run("-k", "accuracy").assert_outcomes(passed=1, errors=1)


def test_what_is_out_of_reach_is_skipped_with_the_remedy(study: Study) -> None:
    study.write("unreachable")
    result = study.run("-rs")
    result.assert_outcomes(passed=2, skipped=2)
    result.stdout.fnmatch_lines(["*the fake registry is closed; next: open it*"])
    result.stdout.fnmatch_lines(["skipped 1 case: the fake registry is closed; next: open it"])
    result.stdout.no_fnmatch_line("*not judged*")


def test_a_missing_extra_is_skipped_with_the_command_that_installs_it(study: Study) -> None:
    fakes = study.path / "fakes.py"
    missing = "raise ModuleNotFoundError('No module named torch', name='torch')"
    source = fakes.read_text().replace("import a_module_that_is_not_there", missing)
    fakes.write_text(source)
    study.write("without_extra")
    result = study.run("-rs")
    result.assert_outcomes(passed=2, skipped=2)
    result.stdout.fnmatch_lines(
        ['*pip install "quantbench?litert?" or pip install "quantbench?transformers?"*']
    )


def test_a_module_that_no_extra_brings_is_a_bug_and_not_a_skip(study: Study) -> None:
    study.write("without_extra")
    study.run().assert_outcomes(passed=2, errors=2)


def test_a_required_thing_out_of_reach_is_an_error(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.write("unreachable")
    monkeypatch.setenv("QUANTBENCH_REQUIRE", "network")
    study.run().assert_outcomes(passed=2, errors=2)


def test_a_test_without_a_case_is_told_how_to_get_one(study: Study) -> None:
    (study.path / "test_bare.py").write_text("def test_it(evaluation): pass")
    result = study.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(['*parametrize("case", cases("MODEL"), ids=str)*'])


def test_a_declared_error_is_green_strict_and_recorded(study: Study) -> None:
    study.write("broken", "same", known_errors={"broken": "op 7 has no kernel"})
    result = study.run("--benchmark-json", "out.json")
    result.assert_outcomes(passed=4, xfailed=2)
    result.stdout.fnmatch_lines(["*broken *error, declared*", "*broken: BuildError: *"])
    records = json.loads((study.path / "out.json").read_text())["quantbench"]["records"]
    (broken,) = (record for record in records if record["scheme"] == "broken")
    assert broken["error"]["type"] == "BuildError"
    assert broken["expected"] == "error"


def test_a_declared_error_that_does_not_happen_is_red(study: Study) -> None:
    study.write("same", known_errors={"same": "it could not be built once"})
    result = study.run()
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(["*XPASS(strict)*it could not be built once*"])


def test_a_declared_error_is_no_excuse_for_a_failed_gate(study: Study) -> None:
    study.write("worse", known_errors={"worse": "it could not be built once"})
    study.run().assert_outcomes(passed=2, failed=2)


def test_memory_that_runs_out_is_explained(study: Study) -> None:
    study.write("huge")
    result = study.run("-k", "huge and accuracy")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*PredictionError: evaluating fake-huge-numbers, samples 0 to 256 of 400 failed*"]
    )
    result.stdout.fnmatch_lines(["*next: *memory ran out*"])
