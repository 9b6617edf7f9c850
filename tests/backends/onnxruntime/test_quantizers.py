"""Each scheme's build, against answers and scales that are computed by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from quantbench.backends.onnxruntime.backend import BACKEND
from quantbench.backends.onnxruntime.check import check_build
from quantbench.backends.onnxruntime.runner import OnnxRuntimeRunner
from quantbench.core.plugins import resolve
from quantbench.core.settings import Machine
from quantbench.errors import BuildError, MissingDeviceError, PredictionError
from quantbench.study import Scheme

from .conftest import network, pictures

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Saved = Callable[[Any], Path]

SAMPLES = pictures(12)
ALL = [name for name in BACKEND.schemes.names if name != "ort_int8_mended"]


def built(name: str, source: Path, folder: Path) -> tuple[Path, dict[str, Any]]:
    scheme = Scheme.parse(name)
    quantizer = resolve(BACKEND.quantizers[scheme.quantizer])()
    folder.mkdir()
    facts = dict(quantizer.build(source, scheme, SAMPLES, folder))
    return folder / "model.onnx", facts


def answers(folder: Path) -> list[Any]:
    runner = OnnxRuntimeRunner(folder, Machine(1))
    said = [each["said"] for each in runner.predict_all(SAMPLES)]
    runner.close()
    return said


def snr_db(said: list[Any], meant: list[Any]) -> float:
    x, q = np.concatenate(meant).ravel(), np.concatenate(said).ravel()
    return float(10 * np.log10((x**2).sum() / max(((x - q) ** 2).sum(), 1e-30)))


@pytest.mark.parametrize(
    ("name", "least_db"),
    [
        ("ort_float32", 200.0), ("ort_float16", 50.0), ("ort_int8_dynamic", 20.0),
        ("ort_int8_static", 25.0), ("ort_int8_static_entropy", 10.0),
        ("ort_int8_static_percentile", 15.0), ("ort_int8_static_nncf", 20.0),
        ("ort_int4_weight", 15.0),
    ],
)  # fmt: skip
def test_every_scheme_answers_nearly_as_the_float_model(
    name: str, least_db: float, saved: Saved, tmp_path: Path
) -> None:
    source = saved(network())
    meant = answers(source)
    path, facts = built(name, source, tmp_path / "built")
    assert snr_db(answers(path.parent), meant) >= least_db
    assert facts["executed"]
    again, _ = built(name, source, tmp_path / "again")
    assert again.read_bytes() == path.read_bytes()


def test_nncf_is_asked_again_where_the_runtime_cannot_run_its_choice(
    saved: Saved, tmp_path: Path
) -> None:
    """Depthwise convolutions of the small network: a scale a channel is no `QLinearConv`."""
    _, facts = built("ort_int8_static_nncf", saved(network()), tmp_path / "built")
    assert facts["activations"] == "per tensor"


def test_static_weights_are_signed_and_have_a_scale_a_channel(saved: Saved, tmp_path: Path) -> None:
    """The scale is the channel's largest weight over 127 (symmetric, ONNX Runtime)."""
    path, facts = built("ort_int8_static", saved(network()), tmp_path / "built")
    model = onnx.load(str(path))
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    weights = next(numpy_helper.to_array(t) for t in network().graph.initializer if t.name == "w0")
    scale = constants["w0_scale"]
    np.testing.assert_allclose(scale, np.abs(weights).reshape(8, -1).max(axis=1) / 127, rtol=0.02)
    assert constants["w0_quantized"].dtype == np.int8
    assert facts["stored"]["INT8"] >= weights.size
    assert any(kind.startswith("QLinearConv") for kind in facts["executed"])


def test_activation_ranges_hold_all_calibration_samples(saved: Saved, tmp_path: Path) -> None:
    path, _ = built("ort_int8_static", saved(network()), tmp_path / "built")
    model = onnx.load(str(path))
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    scale, zero = constants["images_scale"], constants["images_zero_point"]
    low, high = ((end - float(zero)) * float(scale) for end in (0, 255))
    assert low <= min(each.min() for each in SAMPLES) + float(scale)
    assert high >= max(each.max() for each in SAMPLES) - float(scale)


def test_all_samples_calibrate_whatever_the_chunks(saved: Saved, tmp_path: Path) -> None:
    """The last sample alone is bright: its range counts, though it is in the second chunk."""
    source = saved(network())
    scheme = Scheme.parse("ort_int8_static")
    quantizer = resolve(BACKEND.quantizers[scheme.quantizer])()
    folder = tmp_path / "built"
    folder.mkdir()
    quantizer.build(source, scheme, [*SAMPLES[:-1], 4 * SAMPLES[-1]], folder)
    model = onnx.load(str(folder / "model.onnx"))
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    assert 255 * float(constants["images_scale"]) == pytest.approx(4.0, rel=0.05)


def test_a_quantized_model_runs_as_shipped_and_as_nothing_else(
    saved: Saved, tmp_path: Path
) -> None:
    path, _ = built("ort_int8_static", saved(network()), tmp_path / "first")
    again, facts = built("ort_as_shipped", path.parent, tmp_path / "shipped")
    assert again.read_bytes() == path.read_bytes()
    assert facts["stored"]["INT8"]
    with pytest.raises(BuildError, match=r"(?s)starts from a float32 model.*ort_as_shipped"):
        built("ort_int8_static", path.parent, tmp_path / "second")


def test_a_float16_model_is_no_float_reference(saved: Saved, tmp_path: Path) -> None:
    path, _ = built("ort_float16", saved(network()), tmp_path / "half")
    with pytest.raises(BuildError, match="weights in float16"):
        built("ort_float32", path.parent, tmp_path / "float")


def test_a_model_without_products_has_no_int4_weights(saved: Saved, tmp_path: Path) -> None:
    model = network()
    del model.graph.node[-1]
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_tensor_value_info("f", 1, None))
    with pytest.raises(BuildError, match=r"(?s)nothing to quantize.*ort_int8_static"):
        built("ort_int4_weight", saved(model), tmp_path / "built")


def test_answers_that_are_not_finite_are_refused(saved: Saved) -> None:
    model = network()
    weights = next(t for t in model.graph.initializer if t.name == "w2")
    values = numpy_helper.to_array(weights).copy()
    values[0, 0] = np.inf
    weights.CopyFrom(numpy_helper.from_array(values, "w2"))
    with pytest.raises(BuildError, match="NaN or infinity"):
        check_build(saved(model) / "model.onnx", SAMPLES)


def test_what_was_left_in_float_is_not_called_int8(saved: Saved) -> None:
    with pytest.raises(BuildError, match="not stored as int8"):
        check_build(saved(network()) / "model.onnx", SAMPLES, "int8")


def test_the_runner_says_what_runs_where(saved: Saved) -> None:
    runner = OnnxRuntimeRunner(saved(network()), Machine(2))
    facts = runner.facts().as_json()
    assert facts["provider"] == "CPUExecutionProvider"
    assert sum(facts["provider_nodes"].values()) >= 5
    assert set(facts["provider_nodes"]) == {"CPUExecutionProvider"}
    assert facts["threads"] == 2
    with pytest.raises(PredictionError, match=r"(?s)another shape.*layout"):
        runner.predict(SAMPLES[0].transpose(0, 2, 3, 1))
    runner.close()


def test_a_gpu_that_is_not_there_is_named(saved: Saved) -> None:
    import onnxruntime as ort

    if "CUDAExecutionProvider" in ort.get_available_providers():
        pytest.skip("a GPU is here")
    with pytest.raises(MissingDeviceError, match="CUDAExecutionProvider"):
        OnnxRuntimeRunner(saved(network()), Machine(1, "cuda"))


@pytest.mark.gpu
def test_a_gpu_answers_as_the_processor_does(saved: Saved) -> None:
    folder = saved(network())
    meant = answers(folder)
    runner = OnnxRuntimeRunner(folder, Machine(1, "cuda"))
    said = [each["said"] for each in runner.predict_all(SAMPLES)]
    assert runner.facts().as_json()["provider"] == "CUDAExecutionProvider"
    runner.close()
    assert snr_db(said, meant) > 50


def test_a_file_that_was_not_imported_is_told_how(saved: Saved, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r'(?s)opset 11.*Model\(format="onnx"\)'):
        built("ort_as_shipped", saved(network(opset=11)), tmp_path / "built")


def test_next_to_no_int8_weights_are_none(saved: Saved) -> None:
    model = network()
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(4, np.int8), "few"))
    with pytest.raises(BuildError, match="not stored as int8"):
        check_build(saved(model) / "model.onnx", SAMPLES, "int8")


def test_weights_in_bfloat16_are_no_float_reference(saved: Saved, tmp_path: Path) -> None:
    model = network()
    weights = next(t for t in model.graph.initializer if t.name == "w2")
    values = numpy_helper.to_array(weights)
    weights.CopyFrom(
        onnx.helper.make_tensor("w2_b", onnx.TensorProto.BFLOAT16, values.shape, values.ravel())
    )
    cast = onnx.helper.make_node("Cast", ["w2_b"], ["w2"], "cast", to=onnx.TensorProto.FLOAT)
    model.graph.node.insert(0, cast)
    with pytest.raises(BuildError, match="weights in bfloat16"):
        built("ort_float32", saved(model), tmp_path / "built")
