"""Model cards, read back by the Hub's own classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from quantbench.cli import main
from quantbench.errors import UsageError
from quantbench.report.checking import views_of
from quantbench.report.model_card import as_model_card
from tests.report.conftest import both_studies

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CASE = "digits_centernet-int8_static-digit_scenes"


def test_the_hub_reads_the_gated_metric_with_its_interval() -> None:
    from huggingface_hub import ModelCard

    views = views_of({"records": both_studies()}, "x")
    view = next(view for view in views if view.case == CASE)
    card = ModelCard(as_model_card(views, CASE))
    (result,) = card.data.eval_results
    assert (result.task_type, result.dataset_name) == ("object-detection", "digit_scenes")
    assert (result.metric_type, result.metric_value) == ("AP", view.metrics["AP"].value)
    assert result.metric_args["interval"] == [view.metrics["AP"].low, view.metrics["AP"].high]
    assert card.data.model_name == "digits_centernet-int8_static"
    assert "compared with `digits_centernet-float32-digit_scenes` on the same" in card.text
    assert f"| {view.judgements[0].word} |" in card.text


def test_which_case_must_be_said_where_there_are_several() -> None:
    views = views_of({"records": both_studies()}, "x")
    with pytest.raises(UsageError, match=r"(?s)a model card is one case's.*--case"):
        as_model_card(views)
    with pytest.raises(UsageError, match="no case 'other'"):
        as_model_card(views, "other")


def test_the_only_quantized_case_need_not_be_named() -> None:
    records = [
        r for r in both_studies() if r["case"] in (CASE, CASE.replace("int8_static", "float32"))
    ]
    views = views_of({"records": records}, "x")
    assert as_model_card(views) == as_model_card(views, CASE)


def test_what_was_not_evaluated_has_no_card() -> None:
    records = both_studies()
    for record in records:
        record["metrics"], record["verdicts"] = {}, []
    with pytest.raises(UsageError, match="has no metrics"):
        as_model_card(views_of({"records": records}, "x"), CASE)


def test_the_command_writes_it(written: Callable[..., Path], tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    arguments = ["report", str(written(both_studies())), "--case", CASE, "-o", str(card)]
    assert CliRunner().invoke(main, arguments).exit_code == 2  # a page is of all cases
    ran = CliRunner().invoke(main, [*arguments, "--format", "model-card"])
    assert ran.exit_code == 0, ran.output
    assert card.read_text().startswith("---\nmodel-index:")
