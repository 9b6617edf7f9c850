"""What docs/how-to/perplexity.md shows works as it is shown, alone and side by side."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.conftest import sentence
from tests.docs.pages import example

if TYPE_CHECKING:
    from pathlib import Path

    from tests.plugin.conftest import Study

PAGE = "docs/how-to/perplexity.md"


@pytest.fixture
def mine(study: Study, tiny_checkpoint: Path) -> Study:
    code = example(PAGE).replace("bnb_nf4", "reference_bfloat16")  # nothing that must be built
    assert "reference_bfloat16" in code
    (study.path / "test_mine.py").write_text(code)
    shutil.copytree(tiny_checkpoint, study.path / "checkpoint")
    (study.path / "texts").mkdir()
    for number in range(15):
        text = "\n".join(sentence(20 * number + i, 40) for i in range(14))
        (study.path / "texts" / f"page {number:02d}.txt").write_text(f"{text}\n")
    return study


@pytest.mark.slow
@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_your_text_in_fifteen_lines(mine: Study, workers: tuple[str, ...]) -> None:
    result = mine.run("-W", "default", "test_mine.py", *workers, "--benchmark-json", "out.json")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["mine on my_text, * samples in * groups", "*perplexity_ratio*"])
    document = json.loads((mine.path / "out.json").read_text())["quantbench"]
    by_scheme = {record["scheme"]: record for record in document["records"]}
    quantized, reference = by_scheme["reference_bfloat16"], by_scheme["reference"]
    assert quantized["task"] == "perplexity"
    assert 10 <= quantized["dataset"]["groups"] <= 15
    assert reference["metrics"]["perplexity_ratio"]["value"] == 1
    assert 0 <= quantized["metrics"]["kl_divergence"]["value"] < 0.01
    assert mine.command("report", "out.json", "-o", "page.html").ret == 0
    page = (mine.path / "page.html").read_text()
    assert page.count("nats a token") == min(len(quantized["examples"]), 10)


@pytest.mark.slow
def test_a_sequential_run_takes_documents_whole(mine: Study) -> None:
    result = mine.run("-W", "default", "test_mine.py", "--quant-sequential", "on")
    result.assert_outcomes(passed=2)


@pytest.mark.slow
def test_a_scheme_that_is_calibrated_sees_windows_of_other_documents(mine: Study) -> None:
    path = mine.path / "test_mine.py"
    described = '"file:texts", context=128, calibration_documents=4'
    code = path.read_text().replace('"file:texts"', described)
    path.write_text(code.replace("reference_bfloat16", "gptq_int8_g64"))
    result = mine.run("-W", "default", "test_mine.py", "--benchmark-json", "out.json")
    result.assert_outcomes(passed=2)
    document = json.loads((mine.path / "out.json").read_text())["quantbench"]
    (record,) = [each for each in document["records"] if each["scheme"] == "gptq_int8_g64"]
    assert record["dataset"]["groups"] == 11
    assert "calibration_samples" in json.dumps(record)
