"""Tests that are run again (pytest-rerunfailures): what is mended, and what is not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Study

pytest.importorskip("pytest_rerunfailures")
OPTIONS = ("-p", "pytest_rerunfailures", "--reruns", "2", "--benchmark-json", "out.json")
FLAKY = """
def test_flaky(evaluation, reference):
    tries = __import__("pathlib").Path("tries.txt")
    tries.write_text(tries.read_text() + "x" if tries.exists() else "x")
    if len(tries.read_text()) < 2:
        raise RuntimeError("the board did not answer")
"""


def same(study: Study) -> dict[str, Any]:
    document = json.loads((study.path / "out.json").read_text())["quantbench"]
    (found,) = (each for each in document["records"] if each["scheme"] == "same")
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "xdist"])
def test_a_broken_test_that_passes_when_run_again_leaves_no_error(
    study: Study, workers: tuple[str, ...]
) -> None:
    study.write("same")
    study.add(FLAKY)
    result = study.run("-k", "(flaky or accuracy) and same", *OPTIONS, *workers)
    result.assert_outcomes(passed=2)
    assert same(study)["error"] is None
    assert len(same(study)["verdicts"]) == 1
    result.stdout.no_fnmatch_line("*same *error*")


def test_an_error_of_another_test_stays(study: Study) -> None:
    study.write("same")
    study.add(FLAKY)
    study.add("def test_broken(evaluation):\n    raise RuntimeError('for good')\n")
    study.run("-k", "(flaky or broken or accuracy) and same", *OPTIONS)
    assert same(study)["error"]["message"] == "for good"


def test_a_verdict_is_not_got_rid_of_by_trying_again(study: Study) -> None:
    """Not even where the gate is called at the first try alone."""
    study.write("worse")
    study.add(
        "def test_once(evaluation, reference, request):\n"
        "    if request.node.execution_count == 1:\n"
        '        assert non_inferior(evaluation, reference, metric="accuracy", margin=0.05)\n'
    )
    study.run("-k", "(once or accuracy) and worse", *OPTIONS).assert_outcomes(failed=2)
