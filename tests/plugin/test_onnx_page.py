"""What docs/tutorials/onnx_detector.md shows works as it is shown."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.docs.pages import example

if TYPE_CHECKING:
    from tests.plugin.conftest import Study

PAGE = "docs/tutorials/onnx_detector.md"


@pytest.fixture(scope="session")
def onnx_files(tmp_path_factory: pytest.TempPathFactory, digits_files: Path) -> Path:
    """The digits detector as an ONNX file, beside the scenes of README's example."""
    from quantbench.backends.onnxruntime.importers.saved_model import SavedModelImporter
    from quantbench.catalog.digits.network import DigitsImporter
    from quantbench.catalog.models import find_model

    model = find_model("digits_centernet")
    made = tmp_path_factory.mktemp("onnx")
    saved, converted = made / "saved", made / "converted"
    saved.mkdir()
    converted.mkdir()
    DigitsImporter().build(model, Path(model.source.removeprefix("file:")).parent, saved)
    SavedModelImporter().build(model, saved, converted)
    files = made / "files"
    shutil.copytree(digits_files / "photos", files / "photos")
    shutil.copyfile(converted / "model.onnx", files / "detector.onnx")
    return files


@pytest.mark.slow
def test_your_onnx_file_in_fifteen_lines(onnx_files: Path, study: Study) -> None:
    (study.path / "test_mine.py").write_text(example(PAGE))
    shutil.copytree(onnx_files, study.path, dirs_exist_ok=True)
    result = study.run("-W", "default", "--benchmark-json", "out.json")
    result.assert_outcomes(passed=5)
    result.stdout.fnmatch_lines(["my_detector on my_photos, 80 samples"])
    records = json.loads((study.path / "out.json").read_text())["quantbench"]["records"]
    by_scheme = {record["scheme"]: record for record in records}
    float32 = by_scheme["ov_float32"]
    assert abs(float32["verdicts"][0]["difference"]) < 0.01
    build = float32["build"]
    assert build["imported_by"] == ["onnx", "openvino_onnx"]
    assert 0 <= build["import_differences"]["onnx"] < 1e-4
    assert by_scheme["ort_float32"]["build"]["imported_by"] == ["onnx"]
    assert by_scheme["int8_static"]["build"]["imported_by"][0] == "onnx"
