"""A study of an ONNX file under ONNX Runtime and OpenVINO, good cases beside broken ones."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.plugin.conftest import Study

STUDY = """
import pytest
from quantbench import ClassFolders, Classifier, Model, cases, non_inferior

def model(format="onnx", source="file:model.onnx", **more):
    return Model(
        name="mine",
        source=source,
        format=format,
        reference="ort_float32",
        schemes=("ort_float32", "ort_int8_static", "ov_float32"),
        datasets=(ClassFolders("photos", "file:photos"),),
        interface=Classifier(
            size=(8, 8), class_ids=range(10), says="logits", value_range=(0, 1), layout="nchw"
        ),
        **more,
    )

CASES = {cases}

@pytest.mark.parametrize("case", CASES, ids=str)
class TestMine:
    def test_latency(self, quantized, sample, benchmark):
        benchmark(quantized.predict, sample)

    def test_top1(self, evaluation, reference):
        assert non_inferior(evaluation, reference, metric="top1", margin=0.05)
"""
SCHEMES = ["ort_float32", "ort_int8_static", "ov_float32"]


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits in a folder for each class, and their linear discriminants as one convolution."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from PIL import Image
    from sklearn.datasets import load_digits
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    made = tmp_path_factory.mktemp("onnx_study")
    pictures, labels = load_digits(return_X_y=True)
    shown = np.round(pictures * 255 / 16).astype(np.uint8)
    fitted = LinearDiscriminantAnalysis().fit(shown[600:] / 255, labels[600:])
    for name, chosen in (("val", range(300)), ("train", range(300, 340))):
        for i in chosen:
            folder = made / "photos" / name / str(labels[i])
            folder.mkdir(parents=True, exist_ok=True)
            grey = shown[i].reshape(8, 8)
            Image.fromarray(np.stack([grey] * 3, -1)).save(folder / f"{i}.png")
    kernels = np.repeat(fitted.coef_.reshape(10, 1, 8, 8) / 3, 3, axis=1).astype(np.float32)
    constants = [
        numpy_helper.from_array(kernels, "kernels"),
        numpy_helper.from_array(fitted.intercept_.astype(np.float32), "bias"),
    ]
    nodes = [
        helper.make_node("Conv", ["pixels", "kernels", "bias"], ["maps"]),
        helper.make_node("Flatten", ["maps"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "lda",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 10])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save_model(model, str(made / "model.onnx"))
    return made


@pytest.fixture
def mine(study: Study, files: Path) -> Callable[[str], Study]:
    """Writes the study of these cases."""
    (study.path / "model.onnx").symlink_to(files / "model.onnx")
    (study.path / "photos").symlink_to(files / "photos")

    def write(cases: str) -> Study:
        text = STUDY.replace("{cases}", cases)
        (study.path / "test_mine.py").write_text(textwrap.dedent(text))
        return study

    return write


def records(study: Study) -> dict[str, Any]:
    document = json.loads((study.path / "out.json").read_text())["quantbench"]
    return {record["scheme"]: record for record in document["records"]}


RUN = ("-W", "default", "-rs", "test_mine.py", "--benchmark-json", "out.json")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "workers"])
def test_good_cases_are_kept_beside_a_broken_one(
    workers: tuple[str, ...], mine: Callable[[str], Study]
) -> None:
    """A convolution alone has no product whose weights int4 could be."""
    study = mine(f"cases(model(), schemes={[*SCHEMES, 'ort_int4_weight']})")
    result = study.run(*RUN, *workers)
    result.assert_outcomes(passed=6, errors=2)
    result.stdout.fnmatch_lines(["*ort_int4_weight: BuildError: *has nothing to quantize*"])
    found = records(study)
    for name in SCHEMES:
        assert found[name]["metrics"]["top1"]["value"] > 0.85
    assert found["ort_int4_weight"]["error"]["type"] == "BuildError"


@pytest.mark.slow
def test_a_broken_file_costs_its_own_cases_alone(mine: Callable[[str], Study]) -> None:
    study = mine(
        """[
    *cases(model(), schemes=["ov_float32"]),
    *cases(replace(model(source="file:broken.onnx"), name="broken"), schemes=["ort_float32"]),
]"""
    )
    path = study.path / "test_mine.py"
    path.write_text(f"from dataclasses import replace\n{path.read_text()}")
    (study.path / "broken.onnx").write_bytes((study.path / "model.onnx").read_bytes()[:999])
    result = study.run(*RUN)
    result.assert_outcomes(passed=2, errors=2)
    result.stdout.fnmatch_lines(
        ["*PredictionError: not a valid .onnx file", "*next: *export it again*"]
    )
    assert records(study)["ov_float32"]["metrics"]["top1"]["value"] > 0.85


IMPORT_FAILS = """
import sys
sys.modules["{module}"] = None
"""
NOT_INSTALLED = """
import sys
from importlib.metadata import DistributionFinder, PathDistribution
from importlib.metadata import MetadataPathFinder as Finder
found = Finder.find_distributions
def find(context=DistributionFinder.Context()):
    return () if context.name == "{module}" else found(context)
Finder.find_distributions = find
sys.modules["{module}"] = None
"""


@pytest.mark.slow
@pytest.mark.parametrize("lack", [IMPORT_FAILS, NOT_INSTALLED], ids=["import", "metadata"])
@pytest.mark.parametrize(
    ("module", "scheme", "extra"),
    [("onnxruntime", "ort_float32", "onnxruntime"), ("openvino", "ov_float32", "openvino")],
)
def test_a_missing_package_skips_its_cases_with_the_command_that_installs_it(
    lack: str, module: str, scheme: str, extra: str, mine: Callable[[str], Study]
) -> None:
    study = mine(f'cases(model(), schemes=["{scheme}"])')
    (study.path / "conftest.py").write_text(lack.format(module=module))
    result = study.run(*RUN)
    result.assert_outcomes(skipped=2)
    lines = [f'*{module} is not installed; next: pip install "quantbench?{extra}?"']
    result.stdout.fnmatch_lines(lines)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "workers"])
def test_cases_on_a_gpu_that_is_not_there_are_skipped_by_name(
    workers: tuple[str, ...], mine: Callable[[str], Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    study = mine(
        'cases(model(), schemes=["ov_float32"])'
        ' + cases(model(), schemes=["ort_float32", "ort_int8_static"], device="cuda")'
    )
    result = study.run(*RUN, *workers)
    result.assert_outcomes(passed=2, skipped=4)
    result.stdout.fnmatch_lines(["*SKIPPED*no CUDA device*"])
    assert list(records(study)) == ["ov_float32"]


@pytest.mark.parametrize(
    ("cases", "lines"),
    [
        (
            'cases(model(format="tflite"))',
            [
                "*nothing makes a float model for onnxruntime of the format 'tflite'*",
                "*expected:*onnx*saved_model*",
                "*next: *Model(format=...)*",
            ],
        ),
        (
            'cases(model(importer="onx"))',
            ["*unknown importer 'onx'*", "*expected:*onnx*", "*next: *did you mean 'onnx'?*"],
        ),
        (
            'cases(model(), schemes=["ort_int9_static"])',
            ["*ort_int9_static*", "*next: *did you mean 'ort_int8_static'?*"],
        ),
    ],
)  # fmt: skip
def test_what_does_not_exist_is_named_with_what_does(
    cases: str, lines: list[str], mine: Callable[[str], Study]
) -> None:
    result = mine(cases).run("-W", "default", "test_mine.py")
    assert result.ret
    result.stdout.fnmatch_lines(lines)


def test_openvino_on_a_gpu_stops_before_any_work(mine: Callable[[str], Study]) -> None:
    result = mine('cases(model(), schemes=["ov_float32"], device="cuda")').run(*RUN)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*cannot run on cuda: its backend openvino does not", '*next: *cases(..., device="cpu")*']
    )
