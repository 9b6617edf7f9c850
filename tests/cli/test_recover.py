"""`quantbench recover`: from a case that lost to two verdicts and two sentences."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from quantbench import cases
from quantbench.cli import main
from quantbench.errors import UsageError
from quantbench.run.steps.recover import recovering, unrecovered
from tests.backends.transformers.test_recovering import checkpoint

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["checkpoint"]  # a fixture

STUDY = """
from pathlib import Path
from tests.backends.transformers.test_recovering import described
tiny = described(Path("{here}"), Path("{checkpoint}"), "gptq_int2_g64")
"""


def case_of(name: str, scheme: str) -> Any:
    return cases(name, schemes=[scheme], datasets=["kjv"])[0]


def test_the_scheme_is_the_backend_s_with_the_budget_and_the_seed() -> None:
    case = case_of("smollm2_135m_instruct", "gptq_int2_g64")
    assert recovering(case).scheme.name == "gptq_int2_g64_lora16"
    assert recovering(case, "60k").scheme.name == "gptq_int2_g64_lora16_60k"
    seeded = case_of("smollm2_135m_instruct", "gptq_int2_g64_s3")
    found = recovering(seeded, "5k")
    assert found.scheme.name == "gptq_int2_g64_lora16_5k_s3"
    assert found.scheme.seed == 3
    assert unrecovered(found).scheme == seeded.scheme
    assert recovering(found) is found
    assert unrecovered(case) is case


@pytest.mark.parametrize(
    ("model", "scheme", "budget", "says"),
    [
        ("smollm2_135m_instruct", "reference", "", "nothing recovers reference"),
        ("smollm2_135m_instruct", "hqq_int4_g64", "", "nothing recovers hqq_int4_g64"),
        (
            "smollm2_135m_instruct",
            "gptq_int2_g64",
            "10m",
            "nothing recovers gptq_int2_g64 with a budget of '10m'",
        ),
        ("smollm2_135m_instruct", "gptq_int2_g64_lora16", "5k", "says its budget itself"),
    ],
)
def test_what_cannot_be_recovered_is_refused(
    model: str, scheme: str, budget: str, says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        recovering(case_of(model, scheme), budget)


def test_a_backend_without_a_way_says_so() -> None:
    case = cases("digits_classifier", schemes=["ort_int8_static"])[0]
    with pytest.raises(UsageError, match="nothing recovers ort_int8_static"):
        recovering(case)


def test_a_detector_learns_from_the_float_model() -> None:
    case = cases("digits_centernet", schemes=["int8_static_s2"])[0]
    assert recovering(case, "2k").scheme.name == "int8_static_distilled_2k_s2"
    assert unrecovered(recovering(case)).scheme == case.scheme
    labelled = cases("digits_centernet", schemes=["int4_weight_aeq_qat"])[0]
    assert recovering(labelled) is labelled
    assert unrecovered(labelled).scheme.name == "int4_weight_aeq"
    with pytest.raises(UsageError, match="nothing recovers float16") as caught:
        recovering(cases("digits_centernet", schemes=["float16"])[0])
    assert "_distilled_{thousands of samples}k" in str(caught.value)


def test_it_ends_in_two_verdicts_and_two_sentences(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "recover_study.py").write_text(
        STUDY.format(here=tmp_path, checkpoint=checkpoint), encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "recover_study", raising=False)
    asked = ["recover", "recover_study:tiny-gptq_int2_g64-mine", "--budget", "3k"]
    asked += ["--metric", "top1", "--margin", "0.3", "--quant-cache", str(tmp_path / "cache")]
    said = CliRunner().invoke(main, asked)
    assert said.exit_code in {0, 1}, said.output
    lines = said.stdout.splitlines()
    assert any(line.startswith("case:") and "lora16_3k" in line for line in lines)
    verdicts = [line for line in lines if line.startswith("verdict:")]
    assert len(verdicts) == 2
    assert ("pass" in verdicts[0]) == (said.exit_code == 0)
    assert "than before: top1" in verdicts[1]
    assert any(line.startswith("held out:") for line in lines)
    assert any(line.startswith("cost:") and "minutes" in line for line in lines)
    assert lines[-1].count(". It ") == 1 and "came back in gptq_int2_g64_lora16_3k" in lines[-1]


def test_the_digits_classifier_gets_back_what_four_bits_took(tmp_path: Path) -> None:
    """Embedded, real and trained through: the stored file passes, and says more than before."""
    command = ["recover", "digits_classifier-int4_weight_aeq-digits", "--budget", "4k"]
    result = CliRunner().invoke(main, [*command, "--quant-cache", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "verdict:    better than before: top1 +" in result.output
    said = re.search(r"(\d+)% \(.+ of the 0\.02\d* top1 that int4_weight_aeq lost", result.output)
    assert said is not None
    assert int(said[1]) >= 80
    assert "It passes its gate against the float model" in result.output
