"""Nodes of a quantized ONNX model stay in float, and looks find what was planted."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from quantbench.backends.onnxruntime.diagnosis.looks import onnx_looks
from quantbench.backends.onnxruntime.diagnosis.noise import side_by_side
from quantbench.backends.onnxruntime.diagnosis.scan import scan
from quantbench.backends.onnxruntime.graph import OnnxGraph
from quantbench.backends.onnxruntime.mending.observed import Observed, build_int8, rounded_alone
from quantbench.backends.onnxruntime.mending.quantizer import MendedQuantizer
from quantbench.backends.onnxruntime.quantizers.prepared import prepared_content
from quantbench.backends.onnxruntime.session import opened
from quantbench.diagnosis.ranges import rounded
from quantbench.diagnosis.recipe_files import MixedRecipe
from quantbench.errors import BuildError
from quantbench.study import Scheme

from .conftest import network, pictures

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Saved = Callable[[Any], Path]

SAMPLES = pictures(12)
RULE = "minimum and maximum"


def step(what: str, parts: int) -> Callable[[int], None]:
    del what, parts
    return lambda advanced: None  # noqa: ARG005


def answers(content: bytes, output: str = "said") -> Any:
    with opened(content) as model:
        return np.concatenate([model(sample)[output] for sample in SAMPLES])


@pytest.fixture
def content(saved: Saved) -> bytes:
    return prepared_content(saved(network()) / "model.onnx")


@pytest.fixture
def mendable(content: bytes) -> Observed:
    return Observed(content, SAMPLES, step)


def test_ranges_are_what_numpy_sees_in_every_tensor(content: bytes, mendable: Observed) -> None:
    """Of the last tensor, whose values are at hand, and of the input."""
    ranges = mendable.settings[RULE]
    said = answers(content)
    low, high = ranges["said"]
    assert low == pytest.approx(min(said.min(), 0.0))
    assert high == pytest.approx(max(said.max(), 0.0))
    assert ranges["images"][1] == pytest.approx(max(sample.max() for sample in SAMPLES))
    assert set(mendable.tensors) <= set(ranges)


def test_with_every_node_in_float_it_is_the_float_model(content: bytes, mendable: Observed) -> None:
    ranges = mendable.settings[RULE]
    kept = {op.name: "" for op in mendable.wiring.ops}
    np.testing.assert_allclose(
        answers(mendable.build(ranges, kept)), answers(content), rtol=1e-5, atol=1e-6
    )
    assert np.abs(answers(mendable.build(ranges, {})) - answers(content)).max() > 1e-4


def test_nodes_that_are_kept_are_quieter(content: bytes, mendable: Observed) -> None:
    ranges, meant = mendable.settings[RULE], answers(content)

    def noise(*kinds: str) -> float:
        kept = {op.name: "" for op in mendable.wiring.ops if op.kind in kinds}
        return float(((answers(mendable.build(ranges, kept)) - meant) ** 2).sum())

    assert noise("Conv", "MatMul") < noise("Conv") < noise()


def test_one_tensor_alone_is_rounded_as_numpy_rounds_it(content: bytes) -> None:
    within = (-0.5, 0.75)
    model = onnx.load_model_from_string(content)
    said = answers(rounded_alone(model, "said", within))
    np.testing.assert_allclose(said, rounded(answers(content), within), atol=1e-6)


def test_only_rounded_tensors_have_scales(content: bytes, mendable: Observed) -> None:
    built = OnnxGraph.of(mendable.build(mendable.settings[RULE], {}))
    assert "images" in built.scales
    kept = {op.name: "" for op in mendable.wiring.ops}
    assert not OnnxGraph.of(mendable.build(mendable.settings[RULE], kept)).scales


def test_noise_side_by_side_is_what_numpy_says(content: bytes, mendable: Observed) -> None:
    built = mendable.build(mendable.settings[RULE], {})
    noise = side_by_side(OnnxGraph.of(content), OnnxGraph.of(built), SAMPLES)
    meant = answers(content).astype(np.float64)
    expected = 10 * np.log10((meant**2).sum() / ((answers(built) - meant) ** 2).sum())
    assert noise[-1].op == "op_said"
    assert noise[-1].snr_db == pytest.approx(expected, abs=1.0)
    assert all(each.levels > 0 for each in noise if each.kind == "Conv")


def test_a_narrow_range_is_seen_to_clip(content: bytes, mendable: Observed) -> None:
    ranges = dict(mendable.settings[RULE])
    low, high = ranges["c1"]
    ranges["c1"] = low / 20, high / 20
    built = build_int8(content, ranges, {})
    noise = side_by_side(OnnxGraph.of(content), OnnxGraph.of(built), SAMPLES)
    (clipped,) = [each for each in noise if each.op == "op_c1"]
    assert clipped.clipped > 0.1


def joined(times: float) -> Any:
    """Two products of unlike size, joined."""
    rng = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array((scale * rng.normal(size=(8, 4))).astype(np.float32), name)
        for scale, name in ((1.0, "w0"), (times, "w1"))
    ]
    weights.append(numpy_helper.from_array(np.eye(8, dtype=np.float32), "w2"))
    nodes = [
        helper.make_node("MatMul", ["x", "w0"], ["small"], "small"),
        helper.make_node("MatMul", ["x", "w1"], ["large"], "large"),
        helper.make_node("Concat", ["small", "large"], ["both"], "joint", axis=1),
        helper.make_node("MatMul", ["both", "w2"], ["said"], "last"),
    ]
    graph = helper.make_graph(
        nodes,
        "joined",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8])],
        [helper.make_tensor_value_info("said", TensorProto.FLOAT, [1, 8])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    return model


@pytest.mark.parametrize(("times", "named"), [(100.0, True), (1.5, False)])
def test_a_joint_of_unlike_parts_is_named(times: float, named: bool) -> None:  # noqa: FBT001
    """What a detector's head does that joins boxes, objectness and classes."""
    samples = [np.random.default_rng(i).normal(size=(1, 8)).astype(np.float32) for i in range(8)]
    content = joined(times).SerializeToString()
    mendable = Observed(content, samples, step)
    built = mendable.build(mendable.settings[RULE], {})
    found = scan(OnnxGraph.of(content), OnnxGraph.of(built))
    causes = {each.cause: each for each in found}
    assert ("one scale for unlike parts" in causes) == named
    if named:
        assert causes["one scale for unlike parts"].ops == ("joint",)


def test_looks_say_what_was_planted(saved: Saved) -> None:
    """A range a hundred times too wide leaves the first layer's values few levels."""
    source = saved(network())
    mendable = Observed(prepared_content(source / "model.onnx"), SAMPLES, step)
    ranges = dict(mendable.settings[RULE])
    ranges["c1"] = 100 * ranges["c1"][0], 100 * ranges["c1"][1]
    built = saved(onnx.load_model_from_string(mendable.build(ranges, {})))
    found = onnx_looks(source, built, SAMPLES, step, alone=True)
    causes = {each.cause: each for each in found.findings}
    assert causes["outlier activation"].ops[0] == "op_c1"
    assert set(found.seconds) == {"scan", "side by side", "one op alone"}


def test_an_infinite_constant_comes_first(saved: Saved) -> None:
    model = network()
    high = next(t for t in model.graph.initializer if t.name == "high")
    high.CopyFrom(numpy_helper.from_array(np.float32(3.4e38), "high"))
    graph = OnnxGraph(model)
    (found,) = scan(graph, graph)
    assert found.cause == "infinite constant"
    assert found.ops == ("op_r0",)


def test_a_recipe_builds_what_was_judged(content: bytes, saved: Saved, tmp_path: Path) -> None:
    source = saved(network())
    mendable = Observed(content, SAMPLES, step)
    kept = {"op_said": "planted"}
    judged = mendable.build(mendable.settings["99.99 %"], kept)
    setting = {name: list(each) for name, each in mendable.settings["99.99 %"].items()}
    recipe = MixedRecipe(setting, kept, {"passed": True}, hashlib.sha256(content).hexdigest())
    path = tmp_path / "recipe.json"
    path.write_text(recipe.as_json())
    assert MixedRecipe.parse(path) == recipe
    folder = tmp_path / "built"
    folder.mkdir()
    scheme = Scheme(
        "ort_int8_mended", "onnxruntime", "ort_mended", "int8", "int8", recipe=str(path)
    )
    facts = MendedQuantizer().build(source, scheme, SAMPLES, folder)
    np.testing.assert_array_equal(answers((folder / "model.onnx").read_bytes()), answers(judged))
    assert facts["float_ops"] == ["op_said"]
    path.write_text(MixedRecipe(setting, kept, {}, "0" * 64).as_json())
    (tmp_path / "again").mkdir()
    with pytest.raises(BuildError, match="another float model"):
        MendedQuantizer().build(source, scheme, SAMPLES, tmp_path / "again")


@pytest.mark.parametrize("broken", ['{"schema": 99}', "{}", "no json", '{"schema": 1}'])
def test_a_malformed_recipe_is_refused(broken: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(broken)
    with pytest.raises(BuildError, match="no recipe"):
        MixedRecipe.parse(path)


def test_a_zero_point_that_is_left_out_is_zero() -> None:
    model = network()
    model.graph.initializer.append(numpy_helper.from_array(np.float32(0.1), "step"))
    for kind, read, written in (
        ("QuantizeLinear", "said", "stored"), ("DequantizeLinear", "stored", "back"),
    ):  # fmt: skip
        model.graph.node.append(helper.make_node(kind, [read, "step"], [written], kind))
    _, back, scale, zero = OnnxGraph(model).scales["said"]
    assert (back, int(zero)) == ("back", 0)
    assert float(scale) == pytest.approx(0.1)
