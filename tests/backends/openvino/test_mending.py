"""Ops of a quantized OpenVINO model go back to float, and looks find what was planted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from quantbench.backends.openvino.diagnosis.looks import openvino_looks
from quantbench.backends.openvino.diagnosis.noise import side_by_side
from quantbench.backends.openvino.diagnosis.scan import scan
from quantbench.backends.openvino.graph import OpenVinoGraph
from quantbench.backends.openvino.mending.quantizer import MendedQuantizer
from quantbench.backends.openvino.mending.reverted import (
    Reverted,
    digest_of_inputs,
    packed,
    reverted,
    unpacked,
)
from quantbench.backends.openvino.quantizers.static import quantized
from quantbench.backends.openvino.session import OpenVinoModel
from quantbench.diagnosis.recipe_files import MixedRecipe
from quantbench.errors import BuildError
from quantbench.study import Scheme

from .conftest import network, pictures

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Saved = Callable[[Any], Path]

SAMPLES = pictures(12)


def step(what: str, parts: int) -> Callable[[int], None]:
    del what, parts
    return lambda advanced: None  # noqa: ARG005


def answers(model: Any) -> Any:
    opened = OpenVinoModel(model, 1)
    return np.concatenate([opened(sample)["said"] for sample in SAMPLES])


@pytest.fixture(scope="module")
def whole() -> Any:
    return quantized(network(), SAMPLES, "performance")


@pytest.fixture(scope="module")
def graph() -> OpenVinoGraph:
    return OpenVinoGraph(network())


def names(graph: OpenVinoGraph, *kinds: str) -> list[str]:
    return [op.name for op in graph.ops if not kinds or op.kind in kinds]


def matched(model: Any) -> Any:
    """The network with names that do not depend on what else this process has made."""
    for i, op in enumerate(model.get_ordered_ops()):
        op.set_friendly_name(f"op{i}")
    return model


def test_a_graph_is_its_ops_without_constants(graph: OpenVinoGraph) -> None:
    kinds = [op.kind for op in graph.ops]
    assert kinds == ["Convolution", "Clamp", "Convolution", "ReduceMean", "MatMul"]
    first, clamp = graph.ops[:2]
    assert graph.writer(clamp.inputs[0]) == first
    assert [op.name for op in graph.readers(first.outputs[0])] == [clamp.name]
    assert graph.is_constant(first.inputs[1])
    assert not graph.is_constant(first.inputs[0])


def test_with_every_op_back_it_is_the_float_model() -> None:
    model = matched(network())
    graph = OpenVinoGraph(model)
    whole = quantized(model, SAMPLES, "performance")
    meant = answers(network())
    assert np.abs(answers(whole) - meant).max() > 1e-4
    np.testing.assert_allclose(
        answers(reverted(whole, graph, names(graph))), meant, rtol=1e-4, atol=1e-5
    )


def test_with_no_op_back_it_is_the_quantized_model() -> None:
    model = matched(network())
    whole = quantized(model, SAMPLES, "performance")
    np.testing.assert_array_equal(
        answers(reverted(whole, OpenVinoGraph(model), [])), answers(whole)
    )


def test_one_op_back_lies_between() -> None:
    model = matched(network())
    graph = OpenVinoGraph(model)
    whole = quantized(model, SAMPLES, "performance")
    meant = answers(network())

    def noise(kept: list[str]) -> float:
        return float(((answers(reverted(whole, graph, kept)) - meant) ** 2).sum())

    convolutions = names(graph, "Convolution")
    assert noise(names(graph)) < noise(convolutions) < noise([])


def test_content_comes_back_as_it_was() -> None:
    model = matched(network())
    content = packed(model)
    np.testing.assert_array_equal(answers(unpacked(content)), answers(network()))
    assert packed(unpacked(content)) == content


def test_one_tensor_rounded_alone_is_on_its_grid() -> None:
    model = matched(network())
    mendable = Reverted(packed(model), SAMPLES, step)
    tensor = mendable.tensors[0]
    low, high = OpenVinoGraph(mendable._whole["mixed"]).ranges[tensor]  # noqa: SLF001
    changed = OpenVinoGraph(unpacked(mendable.rounded_alone("mixed", tensor)))
    assert list(changed.roundings) == [tensor]
    assert changed.ranges[tensor] == (low, high)


def test_noise_side_by_side_is_what_numpy_says() -> None:
    """Of the last op alone: both answers are at hand."""
    model = matched(network())
    graph = OpenVinoGraph(model)
    built = quantized(model, SAMPLES, "performance")
    noise = side_by_side(graph, OpenVinoGraph(built), SAMPLES)
    last = noise[-1]
    meant, said = answers(network()).astype(np.float64), answers(built)
    expected = 10 * np.log10((meant**2).sum() / ((said - meant) ** 2).sum())
    assert last.kind == "MatMul"
    assert last.snr_db == pytest.approx(expected, abs=1.0)
    assert any(each.levels > 0 for each in noise)


def test_a_scan_finds_an_infinite_constant() -> None:
    graph = OpenVinoGraph(matched(network(worst=float("inf"))))
    (found,) = scan(graph, graph)
    assert found.cause == "infinite constant"
    assert found.ops == (names(graph, "MatMul")[0],)


def test_one_op_alone_is_looked_at(saved: Saved) -> None:
    model = matched(network())
    source, built = saved(model), saved(quantized(model, SAMPLES, "performance"))
    found = openvino_looks(source, built, SAMPLES, step, alone=True)
    assert set(found.seconds) == {"scan", "side by side", "one op alone"}
    assert found.profile


def test_a_joint_of_unlike_parts_is_named() -> None:
    import openvino as ov
    from openvino import opset13 as ops

    fed = ops.parameter([1, 8], np.float32, "images")
    rng = np.random.default_rng(0)
    parts = [
        ops.matmul(fed, (times * rng.normal(size=(8, 4))).astype(np.float32), False, False)
        for times in (1.0, 100.0)
    ]
    said = ops.matmul(ops.concat(parts, 1), np.eye(8, dtype=np.float32), False, False)
    model = matched(ov.Model([said], [fed], "joined"))
    samples = [rng.normal(size=(1, 8)).astype(np.float32) for _ in range(8)]
    built = quantized(model, samples, "performance")
    causes = {each.cause for each in scan(OpenVinoGraph(model), OpenVinoGraph(built))}
    joined = OpenVinoGraph(built)
    if {t for op in joined.ops if op.kind == "Concat" for t in op.outputs} & set(joined.ranges):
        assert "one scale for unlike parts" in causes


def test_a_recipe_builds_what_was_judged(saved: Saved, tmp_path: Path) -> None:
    model = matched(network())
    source = saved(model)
    from quantbench.backends.openvino.files import read

    content = packed(read(source / "model.xml"))
    mendable = Reverted(content, SAMPLES, step)
    kept = {names(mendable.wiring, "MatMul")[0]: "planted"}
    judged = mendable.build("performance", kept)
    import hashlib

    recipe = MixedRecipe(
        {"preset": "performance", "samples": len(SAMPLES),
         "samples_sha256": digest_of_inputs(SAMPLES)}, kept, {},
        hashlib.sha256(content).hexdigest(),
    )  # fmt: skip
    path = tmp_path / "recipe.json"
    path.write_text(recipe.as_json())
    folder = tmp_path / "built"
    folder.mkdir()
    scheme = Scheme("ov_int8_mended", "openvino", "ov_mended", "int8", "int8", recipe=str(path))
    facts = MendedQuantizer().build(source, scheme, [*SAMPLES, *pictures(3, seed=9)], folder)
    np.testing.assert_array_equal(answers(folder / "model.xml"), answers(unpacked(judged)))
    assert facts["float_ops"] == list(kept)
    (tmp_path / "others").mkdir()
    with pytest.raises(BuildError, match="other calibration samples"):
        MendedQuantizer().build(source, scheme, pictures(12, seed=9), tmp_path / "others")
    path.write_text(MixedRecipe(recipe.setting, kept, {}, "0" * 64).as_json())
    (tmp_path / "again").mkdir()
    with pytest.raises(BuildError, match="another float model"):
        MendedQuantizer().build(source, scheme, SAMPLES, tmp_path / "again")
