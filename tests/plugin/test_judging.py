"""A verdict decides its test, however the test treats it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Study

GATE = 'non_inferior(evaluation, reference, metric="{}", margin={})'
ACCURACY = GATE.format("accuracy", 0.05)
SWALLOWED = (
    ACCURACY,
    f"bool({ACCURACY})",
    f"try:\n        assert {ACCURACY}\n    except AssertionError: pass",
    f'assert {ACCURACY}.outcome == "fail"',
    f"if not {ACCURACY}: pytest.skip('worse')",
)


def gate(study: Study, body: str, *, mark: str = "") -> None:
    study.add(f"{mark}\ndef test_gate(evaluation, reference):\n    {body}\n")


@pytest.mark.parametrize("body", SWALLOWED)
def test_a_failure_that_nobody_asserts_is_red(study: Study, body: str) -> None:
    study.write("worse", "same")
    gate(study, body)
    result = study.run("-k", "gate and worse")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "this test went on past",
            "<fail: accuracy 0.5 against 0.8 of the reference*>",
            "a verdict decides its test, whether or not it is asserted*",
            "case: *fake-worse-numbers",
        ]
    )
    result.stdout.no_fnmatch_line("*quantbench/plugin*")


def test_a_pass_that_nobody_asserts_is_green(study: Study) -> None:
    study.write("same")
    gate(study, ACCURACY)
    study.run("-k", "gate", "-n", "2").assert_outcomes(passed=2)


def test_a_verdict_of_a_fixture_counts_for_the_test_that_asked_for_it(study: Study) -> None:
    study.write("worse")
    path = study.path / "test_fake.py"
    fixture = f"@pytest.fixture\ndef judged(evaluation, reference):\n    return {ACCURACY}\n"
    path.write_text(path.read_text() + "\n\n" + fixture)
    study.add("def test_gate(judged):\n    assert judged is not None\n")
    study.run("-k", "gate").assert_outcomes(passed=1, failed=1)


@pytest.mark.parametrize("marker", ["xfail", "xfail(strict=True, raises=AssertionError)"])
def test_a_test_that_is_marked_to_fail_may_drop_its_verdict(study: Study, marker: str) -> None:
    study.write("worse")
    gate(study, ACCURACY, mark=f"@pytest.mark.{marker}")
    study.run("-k", "gate and worse").assert_outcomes(xfailed=1)


def test_a_declared_failure_is_as_declared_without_an_assertion(study: Study) -> None:
    study.write("worse", "same", known_failures={"worse": "two bits", "same": "it was bad once"})
    gate(study, ACCURACY)
    result = study.run("-k", "gate", "-rx")
    result.assert_outcomes(passed=1, failed=1, xfailed=1)
    result.stdout.fnmatch_lines(["*declared to fail, but its verdict is pass*", "*two bits*"])
    study.run("-k", "gate and worse", "--runxfail").assert_outcomes(failed=1)


@pytest.mark.parametrize("plain", [(), ("--assert=plain",)], ids=["rewritten", "plain"])
@pytest.mark.parametrize("how", ["assert {}", "assert holds({})", "assert bool({})", "{}"])
def test_an_undecided_verdict_is_accepted_however_it_is_asked(
    study: Study, how: str, plain: tuple[str, ...]
) -> None:
    study.write("close")
    helper = "\n\ndef holds(verdict):\n    assert verdict, 'a message'\n    return True\n"
    path = study.path / "test_fake.py"
    path.write_text(path.read_text() + helper)
    gate(study, how.format(ACCURACY))
    options = ("-k", "gate and close", "--quant-samples", "200", *plain)
    study.run(*options).assert_outcomes(failed=1)
    study.run(*options, "--quant-inconclusive", "pass").assert_outcomes(passed=1)


@pytest.mark.parametrize("second", ["assert {}", "{}"])
def test_an_undecided_gate_does_not_hide_the_next(study: Study, second: str) -> None:
    study.write("close")
    lost = GATE.format("lost", 0.05)
    gate(study, f"assert {ACCURACY}\n    {second.format(lost)}")
    options = ("-k", "gate and close", "--quant-samples", "200", "--quant-inconclusive", "pass")
    result = study.run(*options)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*<fail: lost*"])


def test_what_is_undecided_is_no_declared_failure(study: Study) -> None:
    study.write("close", known_failures={"close": "it should fail"})
    options = ("-k", "accuracy and close", "--quant-samples", "260")
    for option in ("fail", "pass"):
        result = study.run(*options, "--quant-inconclusive", option)
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(["*declared to fail, but its verdict is inconclusive*"])


def test_junit_names_every_gate_with_its_metric(study: Study) -> None:
    study.write("worse")
    gate(study, f"assert {GATE.format('perplexity', 0.5)}\n    assert {ACCURACY}")
    study.run("-k", "gate and worse", "--junit-xml", "junit.xml")
    (test,) = ET.parse(study.path / "junit.xml").iter("testcase")  # noqa: S314 - our own file
    found = {each.get("name"): each.get("value") for each in test.iter("property")}
    assert found == {
        "quantbench.verdict.perplexity": "pass",
        "quantbench.verdict.accuracy": "fail",
    }
