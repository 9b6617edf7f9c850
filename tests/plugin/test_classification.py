"""What docs/how-to/classification.md shows works as it is shown."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import quantbench.catalog.digits
from tests.docs.pages import example, text_of

if TYPE_CHECKING:
    from tests.plugin.conftest import Study

PAGE = "docs/how-to/classification.md"


@pytest.fixture(scope="session")
def classifier_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits classifier as a Keras file, and digits in a folder for each class.

    Made outside of pytester's tests: it forgets their imports, and TensorFlow cannot be imported
    twice.
    """
    from PIL import Image

    from quantbench.catalog.datasets import find_dataset
    from quantbench.catalog.digits.classes import WEIGHTS
    from quantbench.catalog.digits.classifier import build_network
    from quantbench.catalog.digits.network import with_weights

    made = tmp_path_factory.mktemp("classifier")
    weights = Path(quantbench.catalog.digits.__file__).with_name(WEIGHTS)
    with_weights(build_network(), weights).save(made / "classifier.keras")
    for split, name, n in (("evaluation", "val", 300), ("calibration", "train", 40)):
        for digit in find_dataset("digits").samples({}, split, n):
            folder = made / "photos" / name / digit.label
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(digit.image).save(folder / f"{digit.id}.png")
    return made


@pytest.fixture
def mine(study: Study, classifier_files: Path) -> Study:
    (study.path / "test_mine.py").write_text(example(PAGE))
    shutil.copytree(classifier_files, study.path, dirs_exist_ok=True)
    return study


@pytest.mark.slow
def test_your_classifier_in_fifteen_lines(mine: Study) -> None:
    result = mine.run("-W", "default", "test_mine.py", "--benchmark-json", "out.json")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        ["my_classifier on my_photos, 300 samples", "*top1*", "*float32 *pass *0.9*"]
    )
    document = json.loads((mine.path / "out.json").read_text())["quantbench"]
    (quantized,) = [r for r in document["records"] if r["scheme"] == "int8_static"]
    assert quantized["task"] == "classification"
    assert quantized["verdicts"][0]["flips"] is not None
    explained = quantized["explanation"]
    assert sum(each["n"] for each in explained["change_by_class"].values()) == 300
    right = sum(each["right"] for each in explained["by_class"].values())
    assert quantized["metrics"]["top1"]["value"] == pytest.approx(right / 300)
    assert all("picture" in each for each in quantized["examples"])
    assert mine.command("report", "out.json", "-o", "page.html").ret == 0
    page = (mine.path / "page.html").read_text()
    assert page.count('class="passage named"') == min(len(quantized["examples"]), 10) > 0
    assert "of the probability moved" in page


@pytest.mark.slow
def test_class_ids_in_another_order_are_no_pass(mine: Study) -> None:
    """Right by chance against right by chance is no loss."""
    path = mine.path / "test_mine.py"
    path.write_text(path.read_text().replace("range(10)", "(*range(1, 10), 0)"))
    result = mine.run("-W", "default", "test_mine.py")
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*commonest answer is wrong for most classes*"])


@pytest.mark.slow
def test_a_class_that_the_model_does_not_know_stops_before_anything_is_predicted(
    mine: Study,
) -> None:
    (mine.path / "photos" / "val" / "9").rename(mine.path / "photos" / "val" / "nine")
    result = mine.run("-W", "default", "test_mine.py")
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*classes that the classifier does not know*", "*got:*nine*"])


def test_the_page_names_every_metric_and_field() -> None:
    import numpy as np

    from quantbench.tasks.classification.answer_numbers import AnswerNumbers
    from quantbench.tasks.classification.classifier import Classifier
    from tests.tasks.classification.rows import rows_of

    rows = rows_of(9 * np.eye(4), np.arange(4))
    numbers, ones = AnswerNumbers(), np.ones((1, 4))
    text = text_of(PAGE)
    for name in (*numbers.summarise(rows, ones), *numbers.agree(rows, rows, ones)):
        assert f"`{name}`" in text
    left_out = {"size", "labels", "resample", "resize", "task", "imported"}  # clear by themselves
    assert all(f"`{name}`" in text for name in set(Classifier.__annotations__) - left_out)
