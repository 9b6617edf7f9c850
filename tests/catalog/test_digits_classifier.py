"""The shipped classifier on digits that it never saw: real weights, real conversion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantbench import cases, non_inferior
from quantbench.catalog.datasets import find_dataset
from quantbench.catalog.digits import glyphs, scenes
from quantbench.catalog.digits.classes import WEIGHTS
from quantbench.core.settings import Settings
from quantbench.diagnosis.recipe_files import RECIPE
from quantbench.run.session import Session

SPLITS = ("train", "calibration", "evaluation")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Session:
    return Session(Settings(cache=tmp_path_factory.mktemp("cache"), threads=2))


def test_no_digit_is_in_two_splits_by_content() -> None:
    images = {split: glyphs.glyphs(split)[0] for split in SPLITS}
    seen = [image.tobytes() for split in SPLITS for image in images[split]]
    assert len(seen) == len(set(seen)) == 1797
    assert [len(images[split]) for split in SPLITS] == [878, 200, 719]
    rows = glyphs.glyphs("evaluation")[2]
    assert set(rows) == set(scenes.glyph_indices("evaluation"))


def test_digits_are_load_digits() -> None:
    from sklearn.datasets import load_digits

    known = load_digits()
    first = find_dataset("digits").samples({}, "evaluation", 5)
    assert len(find_dataset("digits").samples({}, "evaluation", None)) == 719
    for digit in first:
        row = int(digit.id.removeprefix("digit-"))
        assert digit.label == str(known.target[row])
        assert (digit.image[..., 0] == np.rint(known.images[row] * 255 / 16)).all()


def test_the_weights_are_small() -> None:
    assert Path(glyphs.__file__).with_name(WEIGHTS).stat().st_size <= 40_000


@pytest.mark.slow
def test_the_float_classifier_is_its_anchor_and_int8_does_something(bench: Session) -> None:
    """Under all three runtimes, each by its own importer."""
    by_scheme = {case.scheme.name: case for case in cases("digits_classifier")}
    reference = bench.reference(by_scheme["float32"])  # raises where it misses its anchor
    assert 0.95 < reference.value("top1") < 0.99
    for name, case in by_scheme.items():
        bench.reference(case)
        evaluation = bench.evaluate(case)
        verdict = non_inferior(evaluation, reference, "top1", margin=0.02)
        assert verdict, verdict
        if name in {"ort_float32", "ov_float32"}:
            difference = max(evaluation.artifact.details["import_differences"].values())
            assert difference < 1e-4
            assert evaluation.value("agreement_top1") == 1
        elif name != "float32":
            assert evaluation.value("agreement_overlap") < 1
    static = bench.evaluate(by_scheme["int8_static"])
    assert static.artifact.details["stored"]["INT8"] > 0
    kept: Any = static.explanation
    assert set(kept) == {"by_class", "confused", "change_by_class", "flipped"}


@pytest.mark.slow
def test_the_importer_s_network_has_depthwise_convolutions_and_relu6(bench: Session) -> None:
    from quantbench.backends.litert.graph import Graph

    path = next(bench.artifact(cases("digits_classifier")[0]).path.glob("*.tflite"))
    ops = Graph(path.read_bytes()).ops
    assert {"DEPTHWISE_CONV_2D", "CONV_2D"} <= {op.kind for op in ops}
    assert "RELU6" in {op.activation for op in ops}


@pytest.mark.slow
def test_a_recipe_of_mixed_precision_is_searched_by_right_answers(bench: Session) -> None:
    """200 digits calibrate and judge; the case is judged on others."""
    (case,) = cases("digits_classifier", schemes=["int8_mended"])
    recipe = json.loads((bench.recipe(case).path / RECIPE).read_text())
    assert recipe["notes"]["margin"] == 0.02
    assert len(recipe["notes"]["tried"]) > 1
    verdict = non_inferior(bench.evaluate(case), bench.reference(case), "top1", margin=0.02)
    assert verdict, verdict
