"""What README shows works as it is shown."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import sentence

if TYPE_CHECKING:
    from tests.plugin.conftest import Study

README = (Path(__file__).parents[2] / "README.md").read_text()


@pytest.mark.slow
def test_your_model_in_fifteen_lines(study: Study, tiny_checkpoint: Path) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    (study.path / "test_mine.py").write_text(code)
    shutil.copytree(tiny_checkpoint, study.path / "checkpoint")
    passages = [{"text": sentence(i, 58) + " home again"} for i in range(300)]
    (study.path / "passages.jsonl").write_text("\n".join(map(json.dumps, passages)))
    result = study.run("--quant-samples", "200", "-W", "default")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["mine on my_text, 200 samples", "*gptq_int8_g64 *pass*"])


def test_every_option_is_named() -> None:
    from quantbench.settings import OPTIONS, REQUIREMENTS

    for name in OPTIONS:
        assert f"| `--quant-{name}` | `quant_{name}`, `QUANTBENCH_{name.upper()}` |" in README
    assert f"QUANTBENCH_REQUIRE={','.join(REQUIREMENTS)}" in README


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([\w/]+\.py)`", README))))
def test_every_file_that_readme_names_exists(name: str) -> None:
    root = Path(__file__).parents[2]
    assert (root / "quantbench" / name).exists() or (root / name).exists()
