"""`quantbench plan`: the sentence, the table, exit statuses, and that nothing is fetched."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from quantbench.cli import main

if TYPE_CHECKING:
    from pathlib import Path


def plan(cache: Path, *arguments: object) -> Any:
    words = [str(each) for each in (*arguments, "--quant-cache", cache)]
    return CliRunner().invoke(main, ["plan", *words])


def test_a_study_that_fits_says_so_first_and_then_a_line_a_case(tmp_path: Path) -> None:
    said = plan(tmp_path / "cache", "digits_classifier", "--scheme", "ort_int8_static")
    assert said.exit_code == 0, said.output
    first, _, headings, *rows = said.stdout.splitlines()
    assert first.startswith("fits: fetches nothing, ")
    assert headings.split() == ["case", "fetch", "disk", "memory", "time", "rests", "on"]
    assert [row.split()[0] for row in rows] == [
        "digits_classifier-float32-digits",  # the reference comes first
        "digits_classifier-ort_int8_static-digits",
    ]
    assert not list((tmp_path / "cache").glob("*/*/manifest.json"))


def test_bits_and_samples_change_the_plan_as_they_must(tmp_path: Path) -> None:
    def totals(*arguments: object) -> dict[str, float]:
        said = plan(tmp_path, "smollm2_135m_instruct", *arguments, "--json")
        return {name: each["known"] for name, each in json.loads(said.stdout)["total"].items()}

    two, eight = (totals("--scheme", f"gptq_int{bits}_g64") for bits in (2, 8))
    assert two["disk"] < eight["disk"]
    few, many = (totals("--scheme", "bnb_nf4", "--samples", n) for n in (10, 400))
    assert few["seconds"] < many["seconds"]
    assert few["fetch"] == many["fetch"] == 92_871_040 + 10_115_040  # wheels


def test_a_model_that_is_too_large_for_the_memory_exits_with_1(tmp_path: Path) -> None:
    command = (
        f"ulimit -v 8000000; {sys.executable} -m quantbench plan llama_2_7b "
        f"--scheme gptq_int4_g64 --quant-cache {tmp_path}"
    )
    said = subprocess.run(  # noqa: S602 - the shell's own ulimit
        command, shell=True, check=False, capture_output=True, text=True
    )
    assert said.returncode == 1, said.stderr
    first = said.stdout.splitlines()[0]
    assert first.startswith("llama_2_7b under reference, gptq_int4_g64 will not fit: needs ")
    assert " of memory for gptq_int4_g64, this machine has 8.2 GB" in first


@pytest.mark.parametrize("named", ["no_such_model", "digits_classifier-float99-digits"])
def test_what_cannot_be_planned_exits_with_2(tmp_path: Path, named: str) -> None:
    said = plan(tmp_path, named)
    assert said.exit_code == 2
    assert "quantbench: " in said.stderr


def test_data_that_were_not_given_are_told_once_and_the_rest_is_planned(tmp_path: Path) -> None:
    said = plan(tmp_path, "smollm_135m", "--scheme", "bnb_nf4", "--samples", "0")
    assert said.exit_code == 0
    assert said.stderr.count("lambada_test.jsonl was not given") == 1
    (disk,) = [line for line in said.stdout.splitlines() if line.startswith("disk not known of ")]
    assert "data:lambada/lambada_test.jsonl" in disk
    assert "time not known of" in said.stdout  # all samples: how many are not known
