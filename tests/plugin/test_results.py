"""Results out of files, judged in a test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Study

DIGITS = Path(__file__).parents[1] / "judge" / "digits"
TEST = """
from quantbench import non_inferior

FOLDER = {folder!r}

def test_int8(results):
    reference, int8 = results(
        "coco", FOLDER + "/instances.json", FOLDER + "/float32.json", FOLDER + "/int8_static.json"
    )
    {verdict}
"""


def run(study: Study, verdict: str, *options: str) -> pytest.RunResult:
    (study.path / "test_files.py").write_text(TEST.format(folder=str(DIGITS), verdict=verdict))
    return study.run("test_files.py", "--benchmark-json", "out.json", *options)


def test_a_verdict_on_files_decides_its_test_and_is_recorded(study: Study) -> None:
    result = run(study, 'assert non_inferior(int8, reference, metric="AP", margin=0.1)')
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["results on instances, 60 samples", "*int8_static *pass*"])
    document = json.loads((study.path / "out.json").read_text())["quantbench"]
    (record,) = (each for each in document["records"] if each["scheme"] == "int8_static")
    assert record["verdicts"][0]["outcome"] == "pass"


@pytest.mark.parametrize(
    ("options", "failed"), [((), 1), (("--quant-inconclusive", "pass"), 0)], ids=["fail", "pass"]
)
def test_it_need_not_be_asserted(study: Study, options: tuple[str, ...], failed: int) -> None:
    verdict = 'non_inferior(int8, reference, metric="AP", margin=0.0001)'
    result = run(study, verdict, *options)
    result.assert_outcomes(passed=1 - failed, failed=failed)


def test_the_wrong_order_is_an_error(study: Study) -> None:
    result = run(study, 'assert non_inferior(reference, int8, metric="AP", margin=0.1)')
    result.stdout.fnmatch_lines(["*would be judged against the quantized one*"])
    result.assert_outcomes(failed=1)
