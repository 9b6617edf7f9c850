"""The first sentence of a report: what was bought, and what it costs."""

from __future__ import annotations

from typing import Any

import pytest

from quantbench.report.checking import views_of
from quantbench.report.outcome import bought, outcome, undecided
from quantbench.report.views import studies_of
from tests.report.conftest import both_studies, detection, language, number, verdict


def _said(records: list[dict[str, Any]]) -> str:
    (study,) = studies_of(views_of({"records": records}, "x"))
    return bought(study)


def test_it_says_what_the_passing_case_is_smaller_and_faster_by_and_what_it_costs() -> None:
    assert _said([detection("float32", 0.7), detection("int8_static", 0.694)]) == (
        "digits_centernet: int8_static is 2.2x smaller and 2x faster; "
        "AP falls by 0.006, at most by 0.016 (95% sure)."
    )


def test_a_gain_in_quality_is_no_loss() -> None:
    said = _said([detection("float32", 0.7), detection("int8_static", 0.705)])
    assert said.endswith("AP does not get worse, at most by 0.005 (95% sure).")


@pytest.mark.parametrize("outcome", ["fail", "inconclusive"])
def test_nothing_is_bought_with_what_does_not_pass(outcome: str) -> None:
    assert not _said([detection("float32", 0.7), detection("int8_static", 0.5, outcome)])


def test_a_metric_of_which_less_is_better_rises_and_a_share_is_in_percent() -> None:
    record = language("gptq_int8_g64", 0.6, (0, 0))
    record["metrics"]["perplexity_ratio"] = number(1.012)
    record["verdicts"] = [verdict("perplexity_ratio", 0.012, lower_is_better=True, relative=True)]
    said = _said([language("reference", 0.6, (0, 0)), record])
    assert said.endswith("perplexity_ratio rises by 1.2 %, at most by 2.2 % (95% sure).")


def test_it_comes_before_the_count_of_each_study() -> None:
    said = outcome(views_of({"records": both_studies()}, "x"))
    assert said.startswith("smollm2_135m_instruct: gptq_int8_g64 is 1.6x smaller; ")
    assert "digits_centernet: int8_static is 2.2x smaller" in said
    assert said.endswith("Of 5 cases, 4 pass and 1 fails as declared.")


def test_an_undecided_case_says_why_and_how_many_samples_it_takes() -> None:
    record = detection("int8_static", 0.65, "inconclusive")
    record["verdicts"][0]["samples_to_decide"] = 2500
    (view,) = views_of({"records": [record]}, "x")
    assert undecided(view) == (
        "the margin lies inside the interval of the difference; about 2,500 samples would decide"
    )
    record["verdicts"][0] |= {"low": None, "samples_to_decide": None}
    (view,) = views_of({"records": [record]}, "x")
    assert undecided(view) == "its difference has no bounds on these samples"
