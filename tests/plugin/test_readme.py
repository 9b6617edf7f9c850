"""What README and the tutorials show works as it is shown; beside it `test_onnx_page.py`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import sentence
from tests.docs.pages import example, text_of

if TYPE_CHECKING:
    from tests.plugin.conftest import Study

README = text_of("README.md")
FIRST, ONNX, LANGUAGE = range(3)  # README's pieces of Python


@pytest.mark.slow
def test_your_detector_in_fifteen_lines(digits_files: Path, study: Study) -> None:
    code = example("docs/how-to/detector.md", 1)
    (study.path / "test_mine.py").write_text(code)
    shutil.copytree(digits_files, study.path, dirs_exist_ok=True)
    result = study.run("-W", "default")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["my_detector on my_photos, 80 samples", "*float32 *pass *0.[78]*"])

    annotated = study.path / "photos" / "annotations" / "instances_val2017.json"
    unlabeled = json.loads(annotated.read_text()) | {"annotations": []}
    annotated.write_text(json.dumps(unlabeled))
    study.run("-W", "default").assert_outcomes(failed=2)  # AP is undefined, and says so
    unlabeled_gate = code.replace('"AP", margin=0.05', '"agreement_AP", margin=0.1')
    (study.path / "test_mine.py").write_text(unlabeled_gate)
    result = study.run("-W", "default", "--benchmark-json", "out.json")
    result.assert_outcomes(passed=2)
    records = json.loads((study.path / "out.json").read_text())["quantbench"]["records"]
    agreed = {record["scheme"]: record["metrics"] for record in records}
    assert agreed["float32"]["agreement_AP"]["value"] == pytest.approx(1)
    assert agreed["float32"]["AP"]["value"] is None
    assert 0.95 < agreed["int8_static"]["agreement_AP"]["value"] < 1
    assert 0.9 < agreed["int8_static"]["agreement_IoU"]["value"] < 1


@pytest.mark.slow
def test_your_language_model_in_fifteen_lines(study: Study, tiny_checkpoint: Path) -> None:
    code = example("README.md", LANGUAGE)
    (study.path / "test_mine.py").write_text(code)
    shutil.copytree(tiny_checkpoint, study.path / "checkpoint")
    passages = [{"text": sentence(i, 58) + " home again"} for i in range(300)]
    (study.path / "passages.jsonl").write_text("\n".join(map(json.dumps, passages)))
    result = study.run("--quant-samples", "200", "-W", "default")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["mine on my_text, 200 samples", "*gptq_int8_g64 *pass*"])


def test_all_studies_run_together() -> None:
    """Two files may have the same case; two cases of one name end the run."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "pytest", "benchmarks", "-q", "-k", "coco or imagenet"]
    ours = ("QUANTBENCH_", "PYTEST_")  # this run's own, xdist's too
    environment = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "skipped 55 cases: coco was not given" in done.stdout
    page = text_of("docs/explanation/published_studies.md")
    assert "skipped 55 cases: coco was not given" in page


def test_results_that_are_there_already_are_judged(study: Study) -> None:
    files = Path(__file__).parents[1] / "judge" / "digits"
    for name, shown in (("instances", "instances"), ("float32", "float"), ("int8_static", "int8")):
        shutil.copy(files / f"{name}.json", study.path / f"{shown}.json")
    (study.path / "test_files.py").write_text(example("docs/tutorials/results.md"))
    study.run("test_files.py").assert_outcomes(passed=1)
    line = re.findall(r"^quantbench (judge coco .*)$", README, re.MULTILINE)[0]
    assert study.command(*line.split()).ret in {0, 3}


def test_readme_and_the_tutorials_show_the_same() -> None:
    assert example("README.md", FIRST) == example("docs/tutorials/first_gate.md")
    assert example("README.md", FIRST) == example("docs/index.md")
    assert example("README.md", ONNX) == example("docs/tutorials/onnx_detector.md")
    assert example("README.md", LANGUAGE) == example("docs/tutorials/language_model.md")


@pytest.mark.slow
def test_the_first_gate_gives_all_three_answers_at_the_margins_that_are_shown(study: Study) -> None:
    page = "docs/tutorials/first_gate.md"
    answers = {0.02: "pass", 0.005: "inconclusive", 0.003: "fail"}
    for margin in answers:
        assert f"margin={margin}" in text_of(page)
        code = example(page).replace("margin=0.02", f"margin={margin}")
        (study.path / f"test_{str(margin)[2:]}.py").write_text(code)
    chosen = ("-k", "average_precision", "--quant-schemes", "float32,int8_static")
    study.run("-W", "default", *chosen, "--benchmark-json", "out.json")
    records = json.loads((study.path / "out.json").read_text())["quantbench"]["records"]
    (judged,) = [record["verdicts"] for record in records if record["scheme"] == "int8_static"]
    assert {verdict["margin"]: verdict["outcome"] for verdict in judged} == answers
    assert {round(verdict["difference"], 3) for verdict in judged} == {-0.006}
