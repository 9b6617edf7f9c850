"""TensorFlow.js graphs: the SavedModel computes what the JSON says."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from quantbench.backends.litert.convert import LiteRTQuantizer
from quantbench.backends.litert.importers.tfjs import TFJSHardSwishImporter, TFJSImporter
from quantbench.catalog.models import find_model
from quantbench.errors import BuildError
from quantbench.study import Scheme

if TYPE_CHECKING:
    from pathlib import Path

MODEL = find_model("centernet_mobilenetv3")
assert MODEL.interface is not None
PLAIN = replace(MODEL, interface=replace(MODEL.interface, outputs=(("heatmap", "keypoints"),)))
FLOAT = {"type": "DT_FLOAT"}


def code(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def constant(name: str, shape: list[int]) -> dict[str, Any]:
    dims = [{"size": str(size)} for size in shape]
    value = {"tensor": {"dtype": "DT_FLOAT", "tensorShape": {"dim": dims}}}
    return {"name": name, "op": "Const", "attr": {"dtype": FLOAT, "value": value}}


def op(name: str, kind: str, *inputs: str, **attr: Any) -> dict[str, Any]:
    return {"name": name, "op": kind, "input": list(inputs), "attr": {"T": FLOAT, **attr}}


CONVOLUTION = {
    "strides": {"list": {"i": ["1", "1", "1", "1"]}},
    "dilations": {"list": {"i": ["1", "1", "1", "1"]}},
    "padding": {"s": code("SAME")},
    "data_format": {"s": code("NHWC")},
    "num_args": {"i": "1"},
    "epsilon": {"f": 0},
    "fused_ops": {"list": {"s": [code("BiasAdd")]}},
}


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """A fused convolution, hard-swish as its package orders it, and a sigmoid."""
    rng = np.random.default_rng(0)
    kernel = rng.integers(0, 256, (1, 1, 3, 4)).astype(np.uint8)
    bias = np.array([-1, 0, 0.5, 2], np.float16)
    folder = tmp_path / "shipped"
    folder.mkdir()
    scalars = np.array([1 / 6, 3.0], np.float32)
    (folder / "model.bin").write_bytes(kernel.tobytes() + bias.tobytes() + scalars.tobytes())
    shape = {"shape": {"dim": [{"size": str(size)} for size in (1, 8, 8, 3)]}}
    nodes = [
        {"name": "t/image", "op": "Placeholder", "attr": {"dtype": FLOAT, "shape": shape}},
        constant("kernel", [1, 1, 3, 4]),
        constant("bias", [4]),
        constant("sixth", []),
        constant("three", []),
        op("x", "_FusedConv2D", "t/image", "kernel", "bias", **CONVOLUTION),
        op("scaled", "Mul", "sixth", "x"),
        op("shifted", "Add", "x", "three"),
        op("gate", "Relu6", "shifted"),
        op("swish", "Mul", "scaled", "gate"),
        op("t/keypoints", "Sigmoid", "swish"),
    ]
    entries = [
        {"name": "kernel", "shape": [1, 1, 3, 4], "dtype": "float32",
         "quantization": {"dtype": "uint8", "scale": 0.02, "min": -2.5}},
        {"name": "bias", "shape": [4], "dtype": "float32", "quantization": {"dtype": "float16"}},
        {"name": "sixth", "shape": [], "dtype": "float32"},
        {"name": "three", "shape": [], "dtype": "float32"},
    ]  # fmt: skip
    model = {
        "format": "graph-model",
        "modelTopology": {"node": nodes, "versions": {"producer": 1087}},
        "weightsManifest": [{"paths": ["model.bin"], "weights": entries}],
        "signature": {
            "inputs": {"t/image": {"name": "t/image"}},
            "outputs": {"t/keypoints": {"name": "t/keypoints"}, "t/extra": {"name": "swish"}},
        },
    }
    (folder / "model.json").write_text(json.dumps(model))
    np.savez(folder.parent / "oracle.npz", kernel=kernel * 0.02 - 2.5, bias=bias)
    return folder


def expected(shipped: Path, image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    oracle = np.load(shipped.parent / "oracle.npz")
    x = image @ oracle["kernel"][0, 0] + oracle["bias"].astype(np.float64)
    return np.asarray(1 / (1 + np.exp(-x * np.clip(x + 3, 0, 6) / 6)))


@pytest.mark.parametrize("importer", [TFJSImporter, TFJSHardSwishImporter])
def test_the_saved_model_computes_the_graph(
    shipped: Path, tmp_path: Path, importer: type[TFJSImporter]
) -> None:
    import tensorflow as tf

    importer().build(PLAIN, shipped, tmp_path / "saved")
    serve = tf.saved_model.load(str(tmp_path / "saved")).signatures["serving_default"]
    image = np.random.default_rng(1).uniform(-2, 2, (1, 8, 8, 3)).astype(np.float32)
    said = {name: value.numpy() for name, value in serve(tf.constant(image)).items()}
    assert set(said) == {"keypoints"}, "what the description does not name is left out"
    np.testing.assert_allclose(said["keypoints"], expected(shipped, image), atol=1e-5)


@pytest.mark.parametrize(
    ("importer", "fused"), [(TFJSImporter, False), (TFJSHardSwishImporter, True)]
)
def test_only_the_reordered_hard_swish_is_fused(
    shipped: Path,
    tmp_path: Path,
    importer: type[TFJSImporter],
    fused: bool,  # noqa: FBT001
) -> None:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    importer().build(PLAIN, shipped, tmp_path / "saved")
    (tmp_path / "lite").mkdir()
    LiteRTQuantizer().build(tmp_path / "saved", Scheme.parse("float32"), [], tmp_path / "lite")
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(
        str(tmp_path / "lite" / "model.tflite"), experimental_op_resolver_type=plain
    )
    interpreter.allocate_tensors()
    names = {each["op_name"] for each in interpreter._get_ops_details()}  # noqa: SLF001
    assert ("HARD_SWISH" in names) is fused


def test_a_graph_without_hard_swish_has_nothing_to_reorder(shipped: Path, tmp_path: Path) -> None:
    path = shipped / "model.json"
    path.write_text(path.read_text().replace('"Relu6"', '"Relu"'))
    with pytest.raises(BuildError, match="no hard-swish was found"):
        TFJSHardSwishImporter().build(PLAIN, shipped, tmp_path / "saved")


def broken(shipped: Path, change: str) -> None:
    path = shipped / "model.json"
    model = json.loads(path.read_text())
    match change:
        case "layers":
            model["format"] = "layers-model"
        case "short":
            (shipped / "model.bin").write_bytes(b"short")
        case "outside":
            model["weightsManifest"][0]["paths"] = ["../model.bin"]
        case "fused":
            model["modelTopology"]["node"][5]["attr"]["fused_ops"]["list"]["s"] = [code("Swirl")]
        case "output":
            del model["signature"]["outputs"]["t/keypoints"]
        case "two":
            (shipped / "other.json").write_text("{}")
    path.write_text(json.dumps(model))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("layers", "not a TensorFlow.js graph model"),
        ("short", "a weight file is too short"),
        ("outside", "a shard that is not beside it"),
        ("fused", "a fused op is unknown"),
        ("output", "no such outputs"),
        ("two", "expected one model JSON"),
    ],
)
def test_a_broken_model_is_explained(
    shipped: Path, tmp_path: Path, change: str, message: str
) -> None:
    broken(shipped, change)
    with pytest.raises(BuildError, match=message):
        TFJSImporter().build(PLAIN, shipped, tmp_path / "saved")
