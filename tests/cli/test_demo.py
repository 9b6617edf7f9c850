"""The demo: from nothing to a report, and a study that is the user's own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from quantbench.cli import main

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
def test_it_ends_in_a_record_and_a_report(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "demo"
    ran = CliRunner().invoke(main, ["demo", str(folder), "--quant-cache", str(tmp_path / "store")])
    assert ran.exit_code == 0, ran.output
    assert "digits_centernet on digit_scenes, 1000 samples" in capfd.readouterr().out
    cases = json.loads((folder / "record.json").read_text())["quantbench"]["records"]
    assert {case["verdicts"][0]["outcome"] for case in cases if case["verdicts"]} == {"pass"}
    assert all(case["latency"] for case in cases)
    assert (folder / "report.html").stat().st_size > 100_000
    assert f"pytest {folder}" in ran.output


def test_a_study_that_stands_there_is_run_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")  # not the demo's
    study = tmp_path / "test_digits.py"
    study.write_text("def test_mine():\n    assert False\n")
    ran = CliRunner().invoke(main, ["demo", str(tmp_path)])
    assert ran.exit_code == 2  # nothing of it was recorded
    assert study.read_text().startswith("def test_mine")


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "demo").write_text("")
    ran = CliRunner().invoke(main, ["demo", str(tmp_path / "demo")])
    assert ran.exit_code == 2
