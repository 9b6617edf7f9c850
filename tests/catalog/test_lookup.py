"""What a person types finds the models and cases that are meant."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from quantbench.catalog.lookup import cases_in, find_case, find_cases, sources
from quantbench.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

MINE = """
from quantbench import CocoImages, Detector, Model, Scheme

OWN = Scheme("int8_own", "litert", "own_tools:Quantizer", "int8", "int8")
MODEL = Model(
    name="mine", source="file:model.tflite", reference="float32",
    schemes=("float32", OWN), datasets=(CocoImages("photos", "file:photos"),),
    interface=Detector(size=(8, 8), decoder="yolox", category_ids=(1,)),
)
NUMBER = 7
"""
STUDY = """
import pytest
from my_models import MODEL
from quantbench import cases, non_inferior

FOUND = cases(MODEL)

@pytest.mark.parametrize("case", FOUND, ids=str)
def test_one(evaluation, reference):
    assert non_inferior(evaluation, reference, metric="AP", margin=0.05)

@pytest.mark.slow
class TestMore:
    @pytest.mark.parametrize(
        ("case", "more"),
        [pytest.param(cases(MODEL, device="cuda")[1], 2, marks=pytest.mark.slow)],
    )
    def test_two(self, evaluation, more):
        pass

def test_without_a_case():
    pass
"""


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "my_models.py").write_text(MINE)
    (tmp_path / "test_mine.py").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "my_models", raising=False)
    return tmp_path


def test_a_model_of_the_catalog_has_its_cases() -> None:
    assert next(str(case) for case in find_cases("digits_centernet")) == (
        "digits_centernet-float32-digit_scenes"
    )
    assert str(find_case("digits_centernet-int8_static_s2-digit_scenes")).count("_s2")


def test_a_model_of_ones_own_is_named_by_its_module(study: Path) -> None:
    assert [str(case) for case in find_cases("my_models:MODEL")] == [
        "mine-float32-photos",
        "mine-int8_own-photos",
    ]
    case = find_case("my_models:MODEL-int8_own-photos")
    assert case.scheme.quantizer == "own_tools:Quantizer"
    assert find_case("my_models:MODEL-int8_static-photos").scheme.name == "int8_static"
    assert sources("my_models:MODEL") == {"file:model.tflite": "mine"}


def test_a_test_file_names_the_cases_that_it_is_parametrized_by(study: Path) -> None:
    assert [str(case) for case in cases_in(study / "test_mine.py")] == [
        "mine-float32-photos",
        "mine-int8_own-photos",
        "mine-int8_own-photos-cuda",
    ]
    assert find_case("test_mine.py::mine-int8_own-photos").scheme.name == "int8_own"
    assert len(find_cases("test_mine.py")) == 3
    assert sources("test_mine.py") == {"file:model.tflite": "mine", "file:photos": "photos"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("digits_centernet-int8_static", "no name of a case"),
        ("digits_centernat-int8_static-digit_scenes", "unknown model"),
        ("no_such_module:MODEL-int8_static-photos", "no module 'no_such_module'"),
        ("my_models:NOTHING-int8_static-photos", "not the name of code"),
        ("my_models:NUMBER-int8_static-photos", "not a model"),
        ("my_models:MODEL-int8_statik-photos", r"(?s)unknown scheme.*int8_static"),
        ("my_models:MODEL-int8_static-fotos", "unknown data set"),
        ("test_nothing.py::mine-float32-photos", "no such test file"),
        ("test_mine.py::mine-float33-photos", r"(?s)no case 'mine-float33-photos'.*float32"),
        ("test_mine.py", "no case ''"),
        ("my_models.py::x", "no test of the file has cases"),
        ("test_skipped.py::x", r"(?s)cannot be imported.*Skipped"),
        ("test_broken.py::x", r"(?s)cannot be imported.*NameError"),
    ],
)
def test_what_is_not_meant_is_told(study: Path, text: str, said: str) -> None:
    (study / "test_broken.py").write_text("nothing_of_the_sort")
    (study / "test_skipped.py").write_text("import pytest\npytest.importorskip('no_such_module')")
    with pytest.raises(UsageError, match=said):
        find_case(text)


def test_files_of_packages_with_dataclasses_and_marks_of_a_module_are_read(study: Path) -> None:
    package = study / "suite"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "helper.py").write_text("from my_models import MODEL\n")
    (package / "test_whole.py").write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "import pytest\n"
        "from quantbench import cases\n"
        "from .helper import MODEL\n"
        "@dataclass(frozen=True)\n"
        "class Data:\n"
        "    name: str = 'x'\n"
        "pytestmark = pytest.mark.parametrize('case', cases(MODEL), ids=str)\n"
        "def test_it(evaluation):\n"
        "    pass\n"
    )
    assert len(cases_in(package / "test_whole.py")) == 2
    case = find_case("suite/test_whole.py::mine-float32-photos")
    assert case.scheme.name == "float32"


def test_a_case_on_another_device_has_its_name() -> None:
    assert find_case("digits_centernet-float32-digit_scenes-cuda").device == "cuda"


def test_what_names_no_source_lists_what_does() -> None:
    with pytest.raises(UsageError, match=r"(?s)neither a model nor a data set.*nanodet_416"):
        sources("nanodet_417")
