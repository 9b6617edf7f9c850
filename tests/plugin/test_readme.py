"""What README shows works as it is shown."""

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

if TYPE_CHECKING:
    from tests.plugin.conftest import Study

README = (Path(__file__).parents[2] / "README.md").read_text()


def example(number: int) -> str:
    """README's nth piece of Python, of at most fifteen lines."""
    code: str = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)[number]
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    return code


@pytest.mark.slow
def test_your_detector_in_fifteen_lines(digits_files: Path, study: Study) -> None:
    (study.path / "test_mine.py").write_text(example(0))
    shutil.copytree(digits_files, study.path, dirs_exist_ok=True)
    result = study.run("-W", "default")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["my_detector on my_photos, 80 samples", "*float32 *pass *0.[78]*"])

    annotated = study.path / "photos" / "annotations" / "instances_val2017.json"
    unlabeled = json.loads(annotated.read_text()) | {"annotations": []}
    annotated.write_text(json.dumps(unlabeled))
    study.run("-W", "default").assert_outcomes(failed=2)  # AP is undefined, and says so
    unlabeled_gate = example(0).replace('"AP", margin=0.05', '"agreement_AP", margin=0.1')
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
    code = example(1)
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
    assert "skipped 72 cases: coco was not given" in done.stdout
    assert "skipped 72 cases: coco was not given" in README


def test_every_option_is_named() -> None:
    from quantbench.core.settings import OPTIONS, REQUIREMENTS

    for name in OPTIONS:
        option = f"--quant-{name.replace('_', '-')}"
        assert f"| `{option}` | `quant_{name}`, `QUANTBENCH_{name.upper()}` |" in README
    assert f"QUANTBENCH_REQUIRE={','.join(REQUIREMENTS)}" in README


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([\w/]+\.py)`", README))))
def test_every_file_that_readme_names_exists(name: str) -> None:
    root = Path(__file__).parents[2]
    assert (root / "quantbench" / name).exists() or (root / name).exists()


def test_results_that_are_there_already_are_judged(study: Study) -> None:
    files = Path(__file__).parents[1] / "judge" / "digits"
    for name, shown in (("instances", "instances"), ("float32", "float"), ("int8_static", "int8")):
        shutil.copy(files / f"{name}.json", study.path / f"{shown}.json")
    (study.path / "test_files.py").write_text(example(2))
    study.run("test_files.py").assert_outcomes(passed=1)
    line = re.findall(r"^quantbench (judge coco .*)$", README, re.MULTILINE)[0]
    assert study.command(*line.split()).ret in {0, 3}
