"""The action's scripts, run as a runner runs them: by bash, with its variables."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from quantbench.core.requirements import extras
from quantbench.record.schema import document
from tests.report.conftest import both_studies

ROOT = Path(__file__).parents[1]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
STEPS = {step["name"]: step for step in ACTION["runs"]["steps"] if "name" in step}


def _run(name: str, folder: Path, **variables: str) -> tuple[int, dict[str, str]]:
    """A step's script; its exit status and outputs."""
    step, outputs = STEPS[name], folder / "outputs"
    assert set(variables) <= set(step.get("env", ()))
    outputs.write_text("")
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "QUANTBENCH"))},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "GITHUB_OUTPUT": str(outputs),
        **dict.fromkeys(step.get("env", ()), ""),
        **variables,
    }
    done = subprocess.run(
        ["/bin/bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        cwd=folder, env=environment, check=False, capture_output=True,
    )  # fmt: skip
    return done.returncode, dict(line.split("=", 1) for line in outputs.read_text().splitlines())


@pytest.mark.parametrize(("body", "status"), [("assert True", "0"), ("assert False", "1")])
def test_a_failed_gate_fails_the_job_after_everything_else(
    tmp_path: Path, body: str, status: str
) -> None:
    (tmp_path / "test_gate.py").write_text(f"def test_gate():\n    {body}\n")
    done, outputs = _run("gates", tmp_path, TESTS="test_gate.py", ARGUMENTS="-p no:cacheprovider")
    assert (done, outputs["status"]) == (0, status)
    assert (tmp_path / "quantbench-results" / "junit.xml").is_file()
    assert _run("verdict", tmp_path, STATUS=status)[0] == int(status)


def test_a_required_extra_that_is_missing_is_no_green_job(tmp_path: Path) -> None:
    assert STEPS["gates"]["env"]["QUANTBENCH_REQUIRE"] == "extras,data"
    done, outputs = _run("gates", tmp_path, TESTS="nowhere.py")
    assert (done, outputs["status"]) == (0, "4")


def test_the_page_and_the_comment_are_made_of_the_record(tmp_path: Path) -> None:
    results = tmp_path / "quantbench-results"
    results.mkdir()
    record = {"benchmarks": [], "quantbench": document(both_studies(), {}, {})}
    (results / "record.json").write_text(json.dumps(record))
    done, outputs = _run("report", tmp_path)
    assert done == 0
    assert "<table" in (tmp_path / outputs["report"]).read_text()
    assert (results / "comment.md").read_text().startswith("**smollm2_135m_instruct: ")


def test_the_store_is_kept_small(tmp_path: Path) -> None:
    assert _run("store", tmp_path, SIZE="5GB", STORE=str(tmp_path / "store"))[0] == 0


def test_what_it_names_is_there() -> None:
    text = (ROOT / "action.yml").read_text()
    for kind, name in re.findall(r"\b(inputs|steps)\.([\w-]+)", text):
        known = ACTION["inputs"] if kind == "inputs" else {s.get("id") for s in STEPS.values()}
        assert name in known, f"{kind}.{name}"
    assert "report" in extras()
    used = set(re.findall(r"inputs\.([\w-]+)", text))
    assert used == set(ACTION["inputs"])
