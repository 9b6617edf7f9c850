"""ONNX models on their way to LiteRT."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from quantbench.backends.litert.convert import LiteRTQuantizer
from quantbench.backends.litert.importers.onnx import ONNXImporter
from quantbench.backends.litert.interpreter import LiteRTModel
from quantbench.catalog.models import find_model
from quantbench.errors import BuildError
from quantbench.study import Model, Scheme
from tests.backends.litert.onnx_models import by_runtime, model, node, normal

if TYPE_CHECKING:
    from pathlib import Path

NANODET = find_model("nanodet_416")  # channels first
assert NANODET.interface is not None


def described(*outputs: str) -> Model:
    named = tuple((output, output) for output in outputs)
    return replace(NANODET, interface=replace(NANODET.interface, size=(32, 32), outputs=named))


def detector(**changes: Any) -> Any:
    """Convolutions, one by channel, a padded maximum, an enlargement, two heads of flat rows."""
    nodes = [
        node("Conv", "x a ab", "stem", strides=[2, 2], pads=[1] * 4),
        node("Sigmoid", "stem", "gate"),
        node("Mul", "stem gate", "swish"),
        node("Conv", "swish b", "wide", pads=[1] * 4, group=8),
        node("HardSwish", "wide", "hard"),
        node("MaxPool", "hard", "small", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4),
        node("Resize", "small - two", "large", mode="nearest", nearest_mode="floor",
             coordinate_transformation_mode="asymmetric"),
        node("ConvTranspose", "small c", "learnt", strides=[2, 2], pads=[1] * 4,
             output_padding=[1, 1]),
        node("Concat", "large hard learnt", "all", axis=1),
        node("Conv", "all d", "heads"),
        node("Reshape", "heads rows", "flat"),
        node("Transpose", "flat", "rows_last", perm=[0, 2, 1]),
        node("Split", "rows_last parts", "logits boxes", axis=2),
        node("Sigmoid", "logits", "scores"),
    ]  # fmt: skip
    constants = {
        "a": normal(8, 3, 3, 3) / 5, "ab": normal(8), "b": normal(8, 1, 3, 3) / 3,
        "c": normal(8, 4, 3, 3) / 9, "d": normal(7, 20, 1, 1) / 5,
        "two": np.array([1, 1, 2, 2], np.float32), "rows": np.array([1, 7, 256]),
        "parts": np.array([3, 4]),
    }  # fmt: skip
    return model(nodes, (1, 3, 32, 32), constants, "scores boxes", **changes)


def written(folder: Path, made: Any) -> Path:
    folder.mkdir()
    (folder / "model.onnx").write_bytes(made.SerializeToString())
    return folder


def imported(tmp_path: Path, made: Any, *outputs: str) -> Path:
    source, target = written(tmp_path / "source", made), tmp_path / "float"
    target.mkdir()
    ONNXImporter().build(described(*outputs), source, target)
    return target


def converted(float_model: Path, scheme: str, samples: list[Any]) -> LiteRTModel:
    folder = float_model.parent / scheme
    folder.mkdir()
    LiteRTQuantizer().build(float_model, Scheme.parse(scheme), samples, folder)
    return LiteRTModel(folder / "model.tflite", threads=1)


def test_litert_answers_as_onnx_runtime_and_channels_stay_last(tmp_path: Path) -> None:
    made, samples = detector(), [normal(1, 3, 32, 32) for _ in range(8)]
    float_model = imported(tmp_path, made)
    small = converted(float_model, "float32", samples)
    assert tuple(small.input["shape"]) == (1, 3, 32, 32)
    for sample in samples[:3]:
        meant, said = by_runtime(made, sample), small(sample)
        assert set(said) == {"scores", "boxes"}
        for name, values in meant.items():
            np.testing.assert_allclose(said[name], values, atol=1e-5 * np.abs(values).max())
    # In, one for the picture. Out, none: rows of all classes are what channels last are already.
    assert kinds(float_model.parent / "float32" / "model.tflite")["TRANSPOSE"] == 1
    quantized = converted(float_model, "int8_static", samples)
    assert quantized.input["dtype"] == np.int8
    said, meant = quantized(samples[0]), by_runtime(made, samples[0])
    for name, values in meant.items():
        assert np.corrcoef(said[name].ravel(), values.ravel())[0, 1] > 0.98


def test_litert_has_kernels_for_all_windows(tmp_path: Path) -> None:
    """What TensorFlow computes as ONNX Runtime does, LiteRT might not."""
    nodes: list[Any] = []
    outputs: list[str] = []
    constants = {"k": normal(6, 3, 3, 3), "g": normal(6, 1, 3, 3)}
    window = {"kernel_shape": [3, 3], "strides": [2, 2]}
    for kind, operands, settings in (
        ("Conv", "x k", {"auto_pad": "SAME_LOWER", "strides": [2, 2]}),
        ("Conv", "x k", {"pads": [0, 1, 2, 1], "dilations": [2, 2]}),
        ("Conv", "x g", {"group": 3, "pads": [2] * 4, "dilations": [2, 2]}),
        ("MaxPool", "x", {**window, "pads": [1, 0, 2, 1], "ceil_mode": 1}),
        ("AveragePool", "x", {**window, "pads": [1, 0, 2, 1], "ceil_mode": 1}),
        ("AveragePool", "x", {**window, "pads": [1] * 4, "count_include_pad": 1}),
        ("ConvTranspose", "x t", {"strides": [3, 3], "pads": [1, 0, 0, 1], "group": 3}),
        ("LayerNormalization", "x n", {}),
        ("Pad", "x p", {"mode": "reflect"}),
        ("Tile", "x r", {}),
        ("ReduceMax", "x", {"axes": [1]}),
        ("DepthToSpace", "wide", {"blocksize": 2, "mode": "CRD"}),
    ):
        outputs.append(f"y{len(outputs)}")
        nodes.append(node(kind, operands, outputs[-1], **settings))
    for mode in ("nearest", "linear"):
        for how in ("half_pixel", "asymmetric", "align_corners"):
            for size in ("larger", "smaller"):
                outputs.append(f"y{len(outputs)}")
                settings = {"mode": mode, "coordinate_transformation_mode": how}
                nodes.append(node("Resize", f"x - - {size}", outputs[-1], **settings))
    nodes.insert(0, node("Concat", "x x x x", "wide", axis=1))
    constants |= {
        "t": normal(3, 2, 4, 4), "n": normal(12), "p": np.array([0, 0, 1, 2, 0, 0, 0, 1]),
        "r": np.array([1, 2, 1, 3]), "larger": np.array([1, 3, 17, 29]),
        "smaller": np.array([1, 3, 6, 5]),
    }  # fmt: skip
    made, sample = model(nodes, (1, 3, 11, 12), constants, " ".join(outputs)), normal(1, 3, 11, 12)
    said = converted(imported(tmp_path, made), "float32", [sample])(sample)
    for name, values in by_runtime(made, sample).items():
        np.testing.assert_allclose(said[name], values, atol=1e-4, err_msg=name)


def kinds(path: Path) -> Counter[str]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), experimental_op_resolver_type=_no_delegate())
    return Counter(op["op_name"] for op in interpreter._get_ops_details())  # noqa: SLF001 - no other way


def _no_delegate() -> Any:
    from ai_edge_litert.interpreter import OpResolverType

    return OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES


def test_what_only_a_dropped_output_needs_may_be_unknown(tmp_path: Path) -> None:
    made = detector()
    chosen = node("NonMaxSuppression", "boxes scores", "chosen")
    made.graph.node.append(chosen)
    made.graph.output.append(
        type(made.graph.output[0])(name="chosen", type=made.graph.output[0].type)
    )
    with pytest.raises(BuildError, match=r"no counterpart[^$]*NonMaxSuppression \(1\)"):
        imported(tmp_path, made)
    (tmp_path / "again").mkdir()
    ONNXImporter().build(described("scores"), tmp_path / "source", tmp_path / "again")
    sample = normal(1, 3, 32, 32)
    said = LiteRTQuantizer().answers(tmp_path / "again", [sample])[0]
    assert set(said) == {"scores"}
    np.testing.assert_allclose(
        said["scores"], by_runtime(detector_like(made), sample)["scores"], atol=1e-5
    )


def detector_like(made: Any) -> Any:
    """Without the suppression."""
    plain = type(made)()
    plain.CopyFrom(made)
    del plain.graph.node[-1], plain.graph.output[-1]
    return plain


def test_the_source_answers_by_onnx_runtime(tmp_path: Path) -> None:
    made, sample = detector(), normal(1, 3, 32, 32)
    (said,) = ONNXImporter().answers(written(tmp_path / "source", made), [sample])
    for name, values in by_runtime(made, sample).items():
        np.testing.assert_array_equal(said[name], values)


@pytest.mark.parametrize("name", ["/head/x:0", "a b", "9"])
def test_any_name_of_onnx_is_taken(tmp_path: Path, name: str) -> None:
    made = model([node("Relu", "x", "y")], (1, 3, 8, 8))
    made.graph.input[0].name = made.graph.node[0].input[0] = name
    made.graph.output[0].name = made.graph.node[0].output[0] = f"{name}/out"
    said = LiteRTQuantizer().answers(imported(tmp_path, made), [normal(1, 3, 8, 8)])
    assert set(said[0]) == {f"{name}/out"}


def test_functions_of_the_model_are_written_out(tmp_path: Path) -> None:
    from onnx import helper

    made = model([node("Relu", "x", "y")], (1, 3, 8, 8))
    made.graph.node[0].op_type, made.graph.node[0].domain = "Twice", "mine"
    body = [helper.make_node("Add", ["a", "a"], ["b"])]
    opset = [helper.make_opsetid("", 17)]
    made.functions.append(helper.make_function("mine", "Twice", ["a"], ["b"], body, opset))
    made.opset_import.append(helper.make_opsetid("mine", 1))
    sample = normal(1, 3, 8, 8)
    said = LiteRTQuantizer().answers(imported(tmp_path, made), [sample])
    np.testing.assert_array_equal(said[0]["y"], 2 * sample)


def test_a_model_that_cannot_be_imported_is_explained(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    relu, shape = [node("Relu", "x", "y")], (1, 3, 8, 8)
    two = model(relu, shape)
    two.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))
    whole = model([node("Neg", "x", "y")], shape)
    whole.graph.input[0].type.tensor_type.elem_type = TensorProto.INT32
    sequence = model([node("SequenceConstruct", "x x", "y")], shape)
    outside = model([node("Add", "x k", "y")], shape, {"k": normal(4096)})
    outside.graph.initializer[0].data_location = TensorProto.EXTERNAL
    dangling = model([node("Add", "x gone", "y")], shape)
    of_a_function = model([node("LeakyRelu", "x", "y", alpha=0.1)], shape)
    of_a_function.graph.node[0].attribute[0].ref_attr_name = "slope"
    for i, (made, what) in enumerate(
        (
            (model(relu, (1, 3, "height", 8)), "no fixed shape"),
            (model(relu, shape, opset=12), "opset is too old"),
            (two, r"one input[^$]*more"),
            (whole, r"float32 input[^$]*INT32"),
            (sequence, r"no tensor[^$]*sequence"),
            (outside, r"not inside[^$]*1 in other files"),
            (dangling, "nothing before it makes: gone"),
            (of_a_function, r"attribute 'alpha' of an op has no value[^$]*LeakyRelu"),
        )
    ):
        folder = tmp_path / str(i)
        folder.mkdir()
        with pytest.raises(BuildError, match=what):
            imported(folder, made)
    with pytest.raises(BuildError, match=r"no such outputs[^$]*heatmap"):
        imported(tmp_path, model(relu, shape), "heatmap")


def test_one_file_is_taken(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="expected one file"):
        ONNXImporter().build(described(), tmp_path, tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(BuildError, match="not an ONNX model that is whole"):
        ONNXImporter().build(described(), tmp_path, tmp_path)
