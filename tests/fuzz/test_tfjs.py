"""TensorFlow.js models bent out of shape: a graph, or an error; TensorFlow does not end the run."""

from __future__ import annotations

import copy
import json
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantbench.backends.litert.importers.tfjs import TFJSImporter
from quantbench.backends.litert.importers.tfjs_files import _KNOWN_OPS, LOOP_OPS, read_graph_model
from quantbench.catalog.models import find_model
from quantbench.errors import BuildError, QuantbenchError
from tests.backends.litert.test_tfjs import CONVOLUTION, FLOAT, constant, op
from tests.fuzz.conftest import FUZZ, SLOW_FUZZ, as_text, bent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MODEL = find_model("centernet_mobilenetv3")
assert MODEL.interface is not None
ALL = replace(MODEL, interface=replace(MODEL.interface, outputs=()))
INT = {"type": "DT_INT32"}
IMAGE = {"shape": {"dim": [{"size": str(size)} for size in (1, 8, 8, 3)]}}
SHAPE = {"name": "shape", "op": "Const", "attr": {"dtype": INT, "value": {"tensor": {}}}}
NODES = [
    {"name": "image", "op": "Placeholder", "attr": {"dtype": FLOAT, "shape": IMAGE}},
    constant("kernel", [1, 1, 3, 4]),
    constant("bias", [4]),
    SHAPE,
    op("x", "_FusedConv2D", "image", "kernel", "bias", **CONVOLUTION),
    op("y", "Relu6", "x"),
    op("flat", "Reshape", "y", "shape", Tshape=INT),
    op("z", "Sigmoid", "flat"),
]
WEIGHTS = [
    {"name": "kernel", "shape": [1, 1, 3, 4], "dtype": "float32",
     "quantization": {"dtype": "uint8", "scale": 0.02, "min": -2.5}},
    {"name": "bias", "shape": [4], "dtype": "float32", "quantization": {"dtype": "float16"}},
    {"name": "shape", "shape": [2], "dtype": "int32"},
]  # fmt: skip
DOCUMENT = {
    "format": "graph-model",
    "modelTopology": {"node": NODES, "versions": {"producer": 1087}, "library": {}},
    "weightsManifest": [{"paths": ["model.bin"], "weights": WEIGHTS}],
    "signature": {"inputs": {"image": {"name": "image"}}, "outputs": {"z": {"name": "z:0"}}},
}
SHARD = (
    bytes(range(12)) + np.arange(4, dtype=np.float16).tobytes() + np.array([1, -1], "<i4").tobytes()
)
OPS = st.sampled_from(sorted(_KNOWN_OPS | LOOP_OPS | {"WriteFile", "PyFunc", "If"}))
SIZES = st.sampled_from([-(2**63), -2, -1, 0, 1, 3, 4, 2**20, 2**31 - 1, 2**40, 2**62])
TYPES = st.sampled_from(
    ["DT_FLOAT", "DT_INT32", "DT_INT64", "DT_STRING", "DT_RESOURCE", "DT_HALF", 0]
)


@st.composite
def bent_graphs(draw: Callable[..., Any]) -> Any:
    """The model with one to four of its ops, edges, sizes, types or values replaced."""
    whole = copy.deepcopy(DOCUMENT)
    nodes: Any = whole["modelTopology"]["node"]  # type: ignore[index]
    entries: Any = whole["weightsManifest"][0]["weights"]  # type: ignore[index]
    for _ in range(draw(st.integers(1, 4))):
        node, entry = draw(st.sampled_from(nodes)), draw(st.sampled_from(entries))
        names = st.sampled_from([*(n["name"] for n in nodes), "x:1", "^x", "none", "z:9"])
        match draw(st.integers(0, 6)):
            case 0:
                node["op"] = draw(OPS)
            case 1:
                node["input"] = draw(st.lists(names, max_size=4))
            case 2:
                entry["shape"] = draw(st.lists(SIZES, max_size=4))
            case 3:
                node["attr"]["T"] = {"type": draw(TYPES)}
            case 4:
                sizes = draw(st.lists(SIZES, max_size=5))
                node["attr"]["shape"] = {"shape": {"dim": [{"size": str(n)} for n in sizes]}}
            case 5:
                strides = {"i": [str(draw(SIZES)) for _ in range(draw(st.integers(0, 5)))]}
                node["attr"][draw(st.sampled_from(["strides", "dilations"]))] = {"list": strides}
            case _:
                nodes.append({**copy.deepcopy(node), "name": draw(names)})
    return whole


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "model.bin").write_bytes(SHARD)
        yield Path(name)


def write(folder: Path, document: Any) -> Path:
    (folder / "model.json").write_text(as_text(document))
    return folder


@FUZZ
@given(bent(DOCUMENT) | bent_graphs())
def test_model_json(folder: Path, document: Any) -> None:
    """What is read of the files alone."""
    try:
        shipped = read_graph_model(write(folder, document))
    except QuantbenchError:
        return
    assert sum(weight.size for weight in shipped.weights.values()) <= len(SHARD)
    assert {node["op"] for node in shipped.topology["node"]} <= _KNOWN_OPS | LOOP_OPS


@SLOW_FUZZ
@given(bent(DOCUMENT) | bent_graphs())
def test_graphs(folder: Path, document: Any) -> None:
    """What TensorFlow makes of it, up to the function that would be saved."""
    with suppress(QuantbenchError):
        TFJSImporter().served(ALL, write(folder, document))


def test_the_whole_model_is_served(folder: Path) -> None:
    import tensorflow as tf

    _, serve = TFJSImporter().served(ALL, write(folder, DOCUMENT))
    said = serve(tf.zeros((1, 8, 8, 3)))
    assert said["z"].shape == (1, 256)


def with_op(name: str, kind: str, *inputs: str) -> Any:
    document: Any = copy.deepcopy(DOCUMENT)
    document["modelTopology"]["node"].append(op(name, kind, *inputs))
    return document


def with_weight(**changes: Any) -> Any:
    document: Any = copy.deepcopy(DOCUMENT)
    document["weightsManifest"][0]["weights"][0] |= changes
    return document


def with_paths(*paths: Any) -> Any:
    document: Any = copy.deepcopy(DOCUMENT)
    document["weightsManifest"][0]["paths"] = list(paths)
    return document


def without_weights() -> Any:
    document: Any = copy.deepcopy(DOCUMENT)
    document["weightsManifest"][0]["weights"].pop()
    return document


def with_functions() -> Any:
    document: Any = copy.deepcopy(DOCUMENT)
    document["modelTopology"]["library"] = {"function": [{"nodeDef": [op("w", "WriteFile")]}]}
    return document


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (with_op("w", "WriteFile", "x", "y"), "only compute[^$]*WriteFile"),
        (with_op("w", "PyFunc", "x"), "only compute[^$]*PyFunc"),
        (with_op("w", "ReadVariableOp", "x"), "only compute[^$]*ReadVariableOp"),
        (with_op("x", "Relu", "y"), "two nodes have the same name"),
        (with_functions(), "a graph with functions"),
        (without_weights(), "1 constants without weights, e.g. 'shape'"),
        (with_weight(shape=[-1, 1, 3, 4]), "a weight of shape"),
        (with_weight(shape=[2**40, 2**40]), "a weight file is too short"),
        (with_weight(shape=[1] * 9), "a weight of shape"),
        (with_weight(shape=[True]), "a weight of shape"),
        (with_weight(dtype="object"), "a weight of type 'object'"),
        (with_weight(dtype="S1000000000"), "a weight of type"),
        (with_weight(quantization={"dtype": "V9999"}), "a weight stored as 'V9999'"),
        (with_weight(quantization={"dtype": "uint8", "scale": 1e999, "min": 0}), "a scale of inf"),
        (with_weight(name="bias"), "two weights named bias"),
        (with_paths("model.bin", "model.bin"), "a shard is named twice"),
        (with_paths("../model.bin"), "a shard that is not beside it"),
        (with_paths("/etc/passwd"), "a shard that is not beside it"),
        (with_paths("a\0b"), "a shard that is not beside it"),
        (with_paths(), "a weight file is too short"),
        ([], "not a TensorFlow.js model that is whole"),
    ],
)
def test_a_model_that_says_more_than_it_brings_is_refused(
    folder: Path, document: Any, says: str
) -> None:
    with pytest.raises(BuildError, match=says):
        TFJSImporter().served(ALL, write(folder, document))


def test_a_loop_is_not_served(folder: Path) -> None:
    """x * 1 for ever."""
    document: Any = copy.deepcopy(DOCUMENT)
    frame = {"frame_name": {"s": "Zg=="}, "is_constant": {"b": False}}
    document["modelTopology"]["node"] += [
        op("enter", "Enter", "y", **frame, parallel_iterations={"i": "1"}),
        op("merge", "Merge", "enter", "next", N={"i": "2"}),
        {"name": "small", "op": "Const", "attr": {"dtype": FLOAT, "value": {"tensor": {}}}},
        op("less", "Less", "merge", "small"),
        {"name": "all", "op": "Const", "attr": {"dtype": INT, "value": {"tensor": {}}}},
        {"name": "any", "op": "Any", "input": ["less", "all"], "attr": {"Tidx": INT}},
        {"name": "go", "op": "LoopCond", "input": ["any"], "attr": {}},
        op("switch", "Switch", "merge", "go"),
        op("next", "NextIteration", "switch:1"),
        op("out", "Exit", "switch"),
    ]
    document["weightsManifest"][0]["weights"] += [
        {"name": "small", "shape": [0], "dtype": "float32"},
        {"name": "all", "shape": [0], "dtype": "int32"},
    ]
    document["signature"]["outputs"] = {"z": {"name": "out"}}
    with pytest.raises(BuildError, match="come out of a loop"):
        TFJSImporter().served(ALL, write(folder, document))


def test_a_json_of_gigabytes_is_not_parsed(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(SHARD)
    with (tmp_path / "model.json").open("w") as file:
        file.write(json.dumps(DOCUMENT))
        file.truncate(3 << 30)
    with pytest.raises(BuildError, match="a JSON of 3,221,225,472 bytes"):
        read_graph_model(tmp_path)
