"""Reading, changing and writing a graph; repairs that leave its answers alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from quantbench.backends.litert.graph import Graph
from quantbench.backends.litert.interpreter import LiteRTModel
from quantbench.backends.litert.mending.hard_swish import fuse_hard_swishes, hard_swishes
from quantbench.backends.litert.mending.recipes import (
    Recipe,
    build_int8,
    float_ops_of,
    repair_graph,
)
from quantbench.backends.litert.mending.repaired import rounded_alone
from quantbench.backends.litert.mending.repairs import (
    dead_channels,
    infinite_pads,
    make_paddings_finite,
    wake_channels,
)
from quantbench.backends.litert.trace import Tracer
from quantbench.diagnosis.ranges import rounded
from quantbench.errors import BuildError
from tests.backends.litert.conftest import op_named, whole_ranges

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def answers(graph: Graph, sample: NDArray[Any], folder: Path) -> dict[str, NDArray[Any]]:
    path = folder / "answers.tflite"
    path.write_bytes(graph.content())
    model = LiteRTModel(path, 1)
    said = {name: values.copy() for name, values in model(sample).items()}
    model.close()
    return said


def assert_same(one: dict[str, Any], other: dict[str, Any], tolerance: float) -> None:
    assert one.keys() == other.keys()
    for name, values in one.items():
        np.testing.assert_allclose(other[name], values, atol=tolerance, rtol=tolerance)


def test_what_is_written_back_answers_the_same(
    float_path: Path, samples: list[NDArray[Any]], tmp_path: Path
) -> None:
    graph = Graph.read(float_path)
    assert Graph(graph.content()).content() == graph.content()
    assert_same(LiteRTModel(float_path, 1)(samples[0]), answers(graph, samples[0], tmp_path), 0)


def behind_the_tables(content: bytes) -> bytes:
    """The same model with its constants after the tables, as large ones are written."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    constants = [
        (buffer, bytes(buffer.data)) for buffer in model.buffers[1:] if buffer.data is not None
    ]

    def packed(start: int) -> bytes:
        place = start
        for buffer, data in constants:
            buffer.data, buffer.offset, buffer.size = None, place, len(data)
            place += len(data)
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    # Numbers of another size make no longer tables.
    start = -(-len(packed(2**20)) // 16) * 16
    return packed(start).ljust(start, b"\0") + b"".join(data for _, data in constants)


def test_constants_behind_the_tables_are_read(
    float_path: Path, samples: list[NDArray[Any]], tmp_path: Path
) -> None:
    graph = Graph.read(float_path)
    content = behind_the_tables(graph.content())
    moved = Graph(content)
    weights = op_named(graph, "body", "CONV_2D").inputs[1]
    np.testing.assert_array_equal(moved.constant(weights), graph.constant(weights))
    (tmp_path / "moved.tflite").write_bytes(content)
    said = LiteRTModel(tmp_path / "moved.tflite", 1)(samples[0])
    assert_same(said, answers(moved, samples[0], tmp_path), 0)
    with pytest.raises(BuildError, match="constants are cut off"):
        Graph(content[:-100])


def test_a_tensor_is_rounded_and_all_its_readers_see_it(
    float_path: Path, samples: list[NDArray[Any]], tmp_path: Path
) -> None:
    graph = Graph.read(float_path)
    expand = op_named(graph, "expand", "CONV_2D").outputs[0]
    changed = Graph(rounded_alone(graph, expand, (0.0, 0.25)))
    kinds = [op.kind for op in changed.ops]
    assert (kinds.count("QUANTIZE"), kinds.count("DEQUANTIZE")) == (1, 1)
    assert not {op.kind for op in changed.readers(expand)} - {"QUANTIZE"}
    # The same values, rounded by numpy, go on from there.
    (tmp_path / "changed.tflite").write_bytes(changed.content())
    values = dict(Tracer(float_path, graph)(samples[0]))[expand]
    said = dict(Tracer(tmp_path / "changed.tflite", changed)(samples[0]))
    (end,) = (op.outputs[0] for op in changed.ops if op.kind == "DEQUANTIZE")
    np.testing.assert_allclose(said[end], rounded(values, (0.0, 0.25)), atol=1e-6)
    assert values.max() > 0.25 >= said[end].max()


def test_a_hard_swish_becomes_one_op_and_the_answers_stay(
    float_path: Path, samples: list[NDArray[Any]], tmp_path: Path
) -> None:
    graph = Graph.read(float_path)
    meant = answers(graph, samples[0], tmp_path)
    before = len(graph.ops)
    assert len(hard_swishes(graph)) == 1
    (repair,) = fuse_hard_swishes(graph)
    assert repair.kind == "hard-swish"
    assert not hard_swishes(graph)
    assert [op.kind for op in graph.ops].count("HARD_SWISH") == 1
    assert len(graph.ops) < before
    # Half precision's sixth is 2.4e-4 off: a repair that forgot it would show.
    assert_same(meant, answers(graph, samples[0], tmp_path), 1e-5)


def test_a_hard_swish_that_is_an_output_is_left_alone(float_path: Path) -> None:
    graph = Graph.read(float_path)
    (found,) = hard_swishes(graph)
    graph._graph.outputs = [*graph.outputs, found.multiply.outputs[0]]  # noqa: SLF001
    graph = graph.copy()
    assert fuse_hard_swishes(graph) == []


def test_an_infinite_padding_becomes_one_that_cannot_win(
    float_path: Path, samples: list[NDArray[Any]], tmp_path: Path
) -> None:
    graph = Graph.read(float_path)
    pad = op_named(graph, "padding", "PADV2")
    infinite = graph.add_constant("infinite", np.array(-np.inf, np.float32))
    graph.set_input(pad, 2, infinite)
    meant = answers(graph, samples[0], tmp_path)
    assert [op.name for op in infinite_pads(graph)] == [pad.name]
    make_paddings_finite(graph, whole_ranges(float_path, samples))
    assert not infinite_pads(graph)
    assert_same(meant, answers(graph, samples[0], tmp_path), 0)


def killed(path: Path, bias: float) -> Graph:
    """The graph with two channels of its first op without weights."""
    graph = Graph.read(path)
    stem = op_named(graph, "stem", "CONV_2D")
    weights, biases = (graph.constant(tensor).copy() for tensor in stem.inputs[1:3])
    weights[[1, 3]] = 0
    biases[[1, 3]] = bias
    fresh = graph.add_constant("stem/bias", biases)
    graph.set_input(stem, 2, fresh)
    graph.set_constant(stem.inputs[1], weights)
    return graph.copy()


def test_dead_channels_wake_and_the_answers_stay(
    float_path: Path, samples: list[NDArray[Any]], tmp_path: Path
) -> None:
    graph = killed(float_path, bias=0.7)
    path = tmp_path / "dead.tflite"
    path.write_bytes(graph.content())
    ranges = whole_ranges(path, samples)
    (dead,) = dead_channels(graph, ranges)
    assert dead.channels.tolist() == [1, 3]
    meant = answers(graph, samples[0], tmp_path)
    wake_channels(graph, ranges)
    assert not dead_channels(graph, ranges)
    assert_same(meant, answers(graph, samples[0], tmp_path), 1e-4)


def test_a_repaired_graph_is_near_in_int8_where_an_unrepaired_one_is_not(
    float_path: Path, samples: list[NDArray[Any]], tmp_path: Path
) -> None:
    path = tmp_path / "dead.tflite"
    path.write_bytes(killed(float_path, bias=0.7).content())
    ranges = whole_ranges(path, samples)
    meant = LiteRTModel(path, 1)(samples[0])
    repaired, _ = repair_graph(path.read_bytes(), ranges)
    off = {}
    for name, graph in (("as it is", Graph.read(path)), ("repaired", repaired)):
        built = Graph(build_int8(graph, ranges, []))
        said = answers(built, samples[0], tmp_path)
        off[name] = max(float(np.abs(said[k] - meant[k]).max()) for k in meant)
    assert off["repaired"] < 0.1 < off["as it is"]


def test_named_ops_stay_in_float_and_the_others_do_not(
    float_path: Path, samples: list[NDArray[Any]]
) -> None:
    ranges = whole_ranges(float_path, samples)
    graph, _ = repair_graph(float_path.read_bytes(), ranges)
    kept = [op.name for op in graph.ops if op.kind in {"LOGISTIC", "HARD_SWISH"}]
    built = Graph(build_int8(graph, ranges, kept))
    assert float_ops_of(built) == kept
    assert float_ops_of(Graph(build_int8(graph, ranges, []))) == []


def test_an_op_that_the_model_does_not_have_is_refused(
    float_path: Path, samples: list[NDArray[Any]]
) -> None:
    ranges = whole_ranges(float_path, samples)
    with pytest.raises(BuildError, match="names ops that the model does not have"):
        build_int8(Graph.read(float_path), ranges, ["nowhere"])


def test_a_recipe_comes_back_and_gives_the_same_bytes(
    float_path: Path, samples: list[NDArray[Any]], tmp_path: Path
) -> None:
    ranges = whole_ranges(float_path, samples)
    graph, repairs = repair_graph(float_path.read_bytes(), ranges)
    kept = {graph.ops[0].name: "alone 9 dB"}
    recipe = Recipe(ranges, kept, tuple(repairs), {"passed": True}, "0" * 64)
    path = tmp_path / "recipe.json"
    path.write_text(recipe.as_json())
    again = Recipe.parse(path)
    assert again == recipe
    other, _ = repair_graph(float_path.read_bytes(), again.ranges)
    assert build_int8(other, again.ranges, again.float_ops) == build_int8(graph, ranges, kept)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[",
        '{"schema": 2}',
        (
            '{"schema": 1, "ranges": {"a": [1, 2]}, "float_ops": {}, "repairs": [], "notes": {}, '
            '"float_sha256": ""}'
        ),
    ],
)
def test_what_is_no_recipe_is_explained(text: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(text)
    with pytest.raises(BuildError, match="no recipe"):
        Recipe.parse(path)
