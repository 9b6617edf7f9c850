"""Each scheme's build, against the answers and scales of the float model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import openvino as ov
import pytest

from quantbench.backends.openvino.backend import BACKEND
from quantbench.backends.openvino.check import check_build
from quantbench.backends.openvino.files import check_stored
from quantbench.backends.openvino.runner import OpenVinoRunner
from quantbench.core.plugins import resolve
from quantbench.core.settings import Machine
from quantbench.errors import BuildError, PredictionError, UsageError
from quantbench.study import Case, Scheme
from quantbench.study.registry import runner_for

from .conftest import network, pictures

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Saved = Callable[[Any], Path]

SAMPLES = pictures(12)


def built(name: str, source: Path, folder: Path) -> tuple[Path, dict[str, Any]]:
    scheme = Scheme.parse(name)
    quantizer = resolve(BACKEND.quantizers[scheme.quantizer])()
    folder.mkdir()
    facts = dict(quantizer.build(source, scheme, SAMPLES, folder))
    return folder, facts


def answers(folder: Path) -> list[Any]:
    runner = OpenVinoRunner(folder, Machine(1))
    said = [each["said"] for each in runner.predict_all(SAMPLES)]
    runner.close()
    return said


def snr_db(said: list[Any], meant: list[Any]) -> float:
    x, q = np.concatenate(meant).ravel(), np.concatenate(said).ravel()
    return float(10 * np.log10((x**2).sum() / max(((x - q) ** 2).sum(), 1e-30)))


def by_hand(values: Any) -> Any:
    """The network in plain numpy."""
    from scipy.signal import correlate

    constants = [
        op.get_data() for op in network().get_ordered_ops() if op.get_type_name() == "Constant"
    ]
    first, second = (c for c in constants if c.ndim == 4)
    product = next(c for c in constants if c.shape == (64, 5))

    def convolved(x: Any, w: Any) -> Any:
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
        return np.stack([correlate(padded, kernel, mode="valid")[0] for kernel in w])

    hidden = np.clip(convolved(values[0], first), 0, 6)
    return convolved(hidden, second).mean(axis=(1, 2)) @ product


def test_the_runner_answers_as_numpy_does(saved: Saved) -> None:
    said = answers(saved(network()))
    for mine, values in zip(said[:3], SAMPLES, strict=False):
        np.testing.assert_allclose(mine[0], by_hand(values), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "least_db", "stored"),
    [
        ("ov_float32", 200.0, "f32"), ("ov_float16", 50.0, "f16"), ("ov_int8_static", 25.0, "i8"),
        ("ov_int8_static_mixed", 25.0, "i8"), ("ov_int8_weight", 35.0, "u8"),
        ("ov_int4_weight", 10.0, "i4"),
    ],
)  # fmt: skip
def test_every_scheme_answers_nearly_as_the_float_model(
    name: str, least_db: float, stored: str, saved: Saved, tmp_path: Path
) -> None:
    source = saved(network())
    meant = answers(source)
    folder, facts = built(name, source, tmp_path / "built")
    assert snr_db(answers(folder), meant) >= least_db
    assert facts["stored"][stored] > 100
    again, _ = built(name, source, tmp_path / "again")
    for file in ("model.xml", "model.bin"):
        assert (again / file).read_bytes() == (folder / file).read_bytes()


def test_static_weights_have_a_scale_a_channel(saved: Saved, tmp_path: Path) -> None:
    """What is stored, times the channel's scale, is the weight to half a step.

    Of the second convolution: NNCF gives the first one 7 bits, for processors without VNNI.
    """
    folder, _ = built("ov_int8_static", saved(network()), tmp_path / "built")
    model = ov.Core().read_model(folder / "model.xml")
    meant = next(
        op.get_data()
        for op in network().get_ops()
        if op.get_type_name() == "Constant" and op.get_data().shape == (64, 8, 3, 3)
    )
    stored = next(
        op
        for op in model.get_ops()
        if op.get_type_name() == "Constant" and tuple(op.shape) == meant.shape
    )
    codes = stored.get_data().astype(np.float64)
    scale = np.abs(meant).reshape(64, -1).max(axis=1) / 127
    off = np.abs(codes * scale[:, None, None, None] - meant)
    assert (off <= 0.51 * scale[:, None, None, None] + 1e-6).all()


def test_a_quantized_model_runs_as_shipped_and_as_nothing_else(
    saved: Saved, tmp_path: Path
) -> None:
    folder, _ = built("ov_int8_static", saved(network()), tmp_path / "first")
    again, facts = built("ov_as_shipped", folder, tmp_path / "shipped")
    assert (again / "model.bin").read_bytes() == (folder / "model.bin").read_bytes()
    assert facts["stored"]["i8"]
    with pytest.raises(BuildError, match=r"(?s)starts from a float32 model.*ov_as_shipped"):
        built("ov_int8_static", folder, tmp_path / "second")


def test_answers_that_are_not_finite_are_refused(saved: Saved) -> None:
    with pytest.raises(BuildError, match="NaN or infinity"):
        check_build(saved(network(worst=float("inf"))) / "model.xml", SAMPLES)


def test_what_was_left_in_float_is_not_called_int8(saved: Saved) -> None:
    with pytest.raises(BuildError, match="not stored as int8"):
        check_build(saved(network()) / "model.xml", SAMPLES, "int8")


def test_the_runner_computes_in_float32_and_says_so(saved: Saved) -> None:
    """On a processor with AMX the default would be bfloat16."""
    runner = OpenVinoRunner(saved(network()), Machine(1))
    facts = runner.facts().as_json()
    assert facts["inference_precision"] == "f32"
    assert not any(kernel.endswith("bf16") for kernel in facts["kernels"])
    assert facts["weights_bytes"] > 4 * 64 * 8 * 9
    with pytest.raises(PredictionError, match=r"(?s)another shape.*layout"):
        runner.predict(SAMPLES[0].transpose(0, 2, 3, 1))
    runner.close()


def test_int8_kernels_are_seen_to_run(saved: Saved, tmp_path: Path) -> None:
    _, facts = built("ov_int8_static", saved(network()), tmp_path / "built")
    assert any(kernel.endswith(("_i8", "_u8")) for kernel in facts["executed"])


@pytest.mark.parametrize("broken", ["xml", "bin", "both"])
def test_broken_files_are_refused(broken: str, saved: Saved, tmp_path: Path) -> None:
    source = saved(network())
    if broken in {"xml", "both"}:
        (source / "model.xml").write_bytes(b"<net>")
    if broken in {"bin", "both"}:
        (source / "model.bin").write_bytes(b"")
    with pytest.raises(PredictionError, match=r"(cannot read|ends the process)"):
        built("ov_float32", source, tmp_path / "built")


def test_a_missing_bin_is_named(saved: Saved, tmp_path: Path) -> None:
    source = saved(network())
    (source / "model.bin").unlink()
    with pytest.raises(PredictionError, match=r"\.xml file with its \.bin"):
        built("ov_float32", source, tmp_path / "built")


def test_there_is_no_gpu_for_it() -> None:
    from quantbench import cases

    (case,) = cases("digits_centernet", schemes=["float32"])
    with pytest.raises(UsageError, match="cannot run on cuda"):
        runner_for(Case(case.model, Scheme.parse("ov_float32"), case.dataset, device="cuda"))


def test_an_input_of_integers_is_refused(saved: Saved, tmp_path: Path) -> None:
    """Pictures between two whole numbers would be cut off without a word."""
    from openvino import opset13 as ops

    fed = ops.parameter([1, 4], np.uint8, "images")
    model = ov.Model([ops.convert(fed, np.float32)], [fed], "integers")
    with pytest.raises(PredictionError, match=r"(?s)one float input.*u8"):
        built("ov_as_shipped", saved(model), tmp_path / "built")


def test_a_model_that_rounds_is_no_float_reference(saved: Saved, tmp_path: Path) -> None:
    """As quantization-aware training leaves it: weights in float32, and FakeQuantize."""
    from openvino import opset13 as ops

    model = network()
    (matmul,) = [op for op in model.get_ops() if op.get_type_name() == "MatMul"]
    ends = [np.float32(end) for end in (-1.0, 1.0, -1.0, 1.0)]
    rounded = ops.fake_quantize(matmul.input_value(0), *ends, levels=256)
    matmul.input(0).replace_source_output(rounded.output(0))
    with pytest.raises(BuildError, match=r"(?s)1 ops FakeQuantize.*ov_as_shipped"):
        built("ov_float32", saved(model), tmp_path / "built")


def test_next_to_no_int8_weights_are_none() -> None:
    with pytest.raises(BuildError, match="not stored as int8"):
        check_stored({"f32": 10**7, "i8": 1}, "int8", "model.xml")
