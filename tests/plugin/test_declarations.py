"""Declared failures and errors: what they cover, and what they do not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Study

GATE = """
def test_{0}(evaluation, reference):
    assert non_inferior(evaluation, reference, metric="{0}", margin={1})
"""
BOTH = """
def test_both(evaluation, reference):
    assert non_inferior(evaluation, reference, metric="lost", margin=0.05)
    assert non_inferior(evaluation, reference, metric="accuracy", margin={})
"""


def declared(study: Study, reasons: dict[str, str]) -> None:
    study.write("worse", known_failures={"worse": reasons})


def test_a_failure_of_another_metric_is_red(study: Study) -> None:
    declared(study, {"lost": "many flips"})
    study.add(GATE.format("lost", 0.05))
    result = study.run("-k", "(lost or accuracy) and worse", "-rx")
    result.assert_outcomes(failed=1, xfailed=1)
    result.stdout.fnmatch_lines(["*worse *fail *", "XFAIL*test_lost*lost: many flips"])


def test_gates_on_other_metrics_are_asked_as_usual(study: Study) -> None:
    declared(study, {"lost": "many flips", "accuracy": "half of it"})
    study.add(GATE.format("lost", 0.05))
    study.add(GATE.format("perplexity", 0.5))
    study.add("def test_other(evaluation):\n    assert evaluation.rows\n")
    options = ("-k", "worse and not latency", "--benchmark-json", "out.json")
    result = study.run(*options)
    result.assert_outcomes(passed=2, xfailed=2)
    result.stdout.fnmatch_lines(["*worse *fail, declared*"])
    document = json.loads((study.path / "out.json").read_text())["quantbench"]
    (record,) = (each for each in document["records"] if each["scheme"] == "worse")
    expected = {verdict["metric"]: verdict["expected"] for verdict in record["verdicts"]}
    assert expected == {"lost": "fail", "accuracy": "fail", "perplexity": "pass"}


def test_a_declared_failure_does_not_hide_the_next_gate(study: Study) -> None:
    declared(study, {"lost": "many flips"})
    study.add(BOTH.format(0.05))
    result = study.run("-k", "both and worse")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*<fail: accuracy*"])
    declared(study, {"lost": "many flips"})
    study.add(BOTH.format(0.5))
    study.run("-k", "both and worse").assert_outcomes(xfailed=1)


def test_a_declared_metric_that_passes_is_red(study: Study) -> None:
    declared(study, {"perplexity": "it was high once"})
    study.add(GATE.format("perplexity", 0.5))
    result = study.run("-k", "perplexity and worse")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*declared to fail on perplexity, but its verdict is pass*"])


def test_a_declared_error_is_the_one_whose_message_matches(study: Study) -> None:
    for match, outcome in (("no kernel for op [78]", "xfailed"), ("PADV2", "errors")):
        study.write("broken", known_errors={"broken": ("op 7 has no kernel", match)})
        result = study.run("-k", "accuracy and broken")
        result.assert_outcomes(**{outcome: 1})
    result.stdout.fnmatch_lines(
        ["*declared to break: op 7 has no kernel", "*message matches 'PADV2'*", "*broken *error *"]
    )
    result.stdout.no_fnmatch_line("*error, declared*")


def test_memory_that_runs_out_is_no_declared_error(study: Study) -> None:
    study.write("huge", known_errors={"huge": "its kernel is missing"})
    result = study.run("-k", "accuracy and huge")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*never memory that ran out*", "*huge *error *"])
    fakes = study.path / "fakes.py"
    other = fakes.read_text().replace(
        'raise RuntimeError("[enforce fail] DefaultCPUAllocator: can\'t allocate memory")',
        "raise MemoryError",
    )
    fakes.write_text(other)
    study.run("-k", "accuracy and huge").assert_outcomes(errors=1)


def test_lists_of_a_model_and_data_sets_that_change_are_no_internal_errors(study: Study) -> None:
    study.write("same")
    path = study.path / "test_fake.py"
    listed = path.read_text().replace(
        "CASES = cases(model('same')",
        "from dataclasses import replace\n"
        "CASES = cases(replace(model('same'), schemes=list(model('same').schemes))",
    )
    path.write_text(listed)
    study.run("-k", "accuracy").assert_outcomes(passed=2)
    fakes = study.path / "fakes.py"
    frozen = "@dataclass(frozen=True)\nclass Numbers"
    fakes.write_text(fakes.read_text().replace(frozen, "@dataclass\nclass Numbers"))
    result = study.run()
    assert result.ret == 2
    result.stdout.fnmatch_lines(["*UsageError: the datasets of a model cannot be hashed*"])


LISTED = {  # what a study may say of its cases: what is seen
    "cases(model('same'), schemes=list(model('same').schemes))": "*2 passed*",
    "cases(model('same'), schemes=[list(model('same').schemes)])": "*UsageError: no scheme*",
    "cases(model('same'), schemes='float')": "*UsageError: schemes are several*",
    "cases(replace(model('same'), schemes=[['float']]))": "*UsageError: no scheme*",
    "cases(model('same'), datasets=list(model('same').datasets))": "*2 passed*",
    "cases(model('same'), datasets=[['kjv']])": "*UsageError: no data set*",
    "[replace(cases(model())[0], scheme=replace(model().schemes[0], weights=['int8']))]":
        "*UsageError: the scheme of a case cannot be hashed*",
}  # fmt: skip


@pytest.mark.parametrize("said", LISTED)
def test_a_list_in_a_study_is_taken_or_explained(study: Study, said: str) -> None:
    study.write("same")
    path = study.path / "test_fake.py"
    head, _, tail = path.read_text().partition("CASES = ")
    tests = tail.partition("\n")[2]
    path.write_text(f"from dataclasses import replace\n{head}CASES = {said}\n{tests}")
    result = study.run("-k", "accuracy")
    result.stdout.fnmatch_lines([LISTED[said]])
    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()


def test_a_margin_in_points_is_told_as_a_share(study: Study) -> None:
    study.write("same")
    path = study.path / "test_fake.py"
    path.write_text(path.read_text().replace("margin=0.05", "margin=2"))
    result = study.run("-k", "accuracy and same")
    result.stdout.fnmatch_lines(["*2 points are margin=0.02*"])


def test_an_unknown_metric_is_told_what_was_meant(study: Study) -> None:
    study.write("same")
    path = study.path / "test_fake.py"
    path.write_text(path.read_text().replace('"accuracy"', '"acuracy"'))
    result = study.run("-k", "accuracy and same")
    result.stdout.fnmatch_lines(["*unknown metric 'acuracy'*", "*did you mean 'accuracy'?*"])
