"""ONNX files as they come become ones that every tool takes, and bad ones are refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from quantbench import Model
from quantbench.backends.onnxruntime.files import read_onnx
from quantbench.backends.onnxruntime.importers.onnx import OnnxImporter
from quantbench.backends.onnxruntime.session import answers_of
from quantbench.errors import BuildError, PredictionError, QuantbenchError

from .conftest import network, pictures

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Saved = Callable[[Any], Path]


@dataclass(frozen=True)
class Interface:
    size: tuple[int, int]
    layout: str = "nchw"


def described(size: int | None = 16, layout: str = "nchw") -> Model:
    interface = None if size is None else Interface((size, size), layout)
    return Model(
        name="small", source="file:x.onnx", format="onnx", reference="ort_float32",
        schemes=("ort_float32",), datasets=("coco",), interface=interface,
    )  # fmt: skip


def imported(source: Path, tmp_path: Path, model: Model | None = None) -> Any:
    folder = tmp_path / "imported"
    folder.mkdir()
    OnnxImporter().build(model or described(), source, folder)
    return read_onnx(folder / "model.onnx")


def test_a_low_opset_is_lifted_and_the_answers_stay(saved: Saved, tmp_path: Path) -> None:
    source = saved(network(opset=11))
    model = imported(source, tmp_path)
    assert [each.version for each in model.opset_import] == [13]
    meant = OnnxImporter().answers(source, pictures(3))
    said = answers_of(tmp_path / "imported" / "model.onnx", pictures(3))
    for mine, theirs in zip(said, meant, strict=True):
        np.testing.assert_allclose(mine["said"], theirs["said"], rtol=1e-6, atol=1e-6)


def test_every_node_gets_a_name_of_its_own(saved: Saved, tmp_path: Path) -> None:
    model = imported(saved(network(named=False)), tmp_path)
    names = [node.name for node in model.graph.node]
    assert all(names)
    assert len(set(names)) == len(names)


def test_an_open_size_is_asked_for_and_taken_from_the_description(
    saved: Saved, tmp_path: Path
) -> None:
    source = saved(network(size="s"))
    with pytest.raises(BuildError, match=r"(?s)how large its input is.*images: \[1, 3, 's', 's'\]"):
        imported(source, tmp_path, described(None))
    folder = tmp_path / "sized"
    folder.mkdir()
    OnnxImporter().build(described(16), source, folder)
    dims = read_onnx(folder / "model.onnx").graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_value for dim in dims] == [1, 3, 16, 16]


@pytest.mark.parametrize(("size", "layout"), [(32, "nchw"), (16, "nhwc")])
def test_another_size_than_the_files_is_refused(
    size: int, layout: str, saved: Saved, tmp_path: Path
) -> None:
    with pytest.raises(BuildError, match="another size than its description"):
        imported(saved(network()), tmp_path, described(size, layout))


def test_several_inputs_are_refused(saved: Saved, tmp_path: Path) -> None:
    model = network()
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))
    with pytest.raises(QuantbenchError, match=r"(?s)one (float )?input.*images.*more"):
        imported(saved(model), tmp_path)


def test_a_sequence_as_an_output_is_refused(saved: Saved, tmp_path: Path) -> None:
    model = network()
    model.graph.node.append(helper.make_node("SplitToSequence", ["said"], ["parts"], axis=1))
    del model.graph.output[:]
    model.graph.output.append(
        helper.make_tensor_sequence_value_info("parts", TensorProto.FLOAT, None)
    )
    with pytest.raises(QuantbenchError, match=r"(?s)no tensor.*parts: seq"):
        imported(saved(model), tmp_path)


def test_ops_of_a_custom_library_are_refused(saved: Saved, tmp_path: Path) -> None:
    model = network()
    model.graph.node[0].domain = "somebody.else"
    with pytest.raises(PredictionError, match=r"(?s)library of its own.*'somebody.else'"):
        imported(saved(model), tmp_path)


def test_an_opset_of_the_future_is_refused(saved: Saved, tmp_path: Path) -> None:
    with pytest.raises(PredictionError, match=r"(?s)opset.*next:"):
        imported(saved(network(opset=99)), tmp_path)


def external(folder: Path, location: str) -> None:
    model = network()
    onnx.external_data_helper.convert_model_to_external_data(
        model, location="weights.bin", size_threshold=0
    )
    onnx.save_model(model, str(folder / "model.onnx"))
    model = onnx.load(str(folder / "model.onnx"), load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    (folder / "model.onnx").write_bytes(model.SerializeToString())


def test_data_of_other_files_beside_the_model_are_read_in(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    external(source, "weights.bin")
    model = imported(source, tmp_path)
    assert not any(tensor.external_data for tensor in model.graph.initializer)


def test_missing_data_are_named(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    external(source, "lost.bin")
    with pytest.raises(PredictionError, match=r"(?s)data are missing.*lost\.bin"):
        imported(source, tmp_path)


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/hostname", "link/secret.bin"])
def test_data_outside_of_the_folder_are_never_read(location: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(10_000))
    (source / "link").symlink_to(tmp_path)
    external(source, location)
    with pytest.raises(PredictionError, match="outside of its folder"):
        imported(source, tmp_path)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for content in (b"", b"no model", bytes(1000)):
        (source / "model.onnx").write_bytes(content)
        with pytest.raises(PredictionError, match=r"not a valid \.onnx file"):
            read_onnx(source / "model.onnx")


def without_rank(model: Any) -> None:
    model.graph.input[0].type.tensor_type.ClearField("shape")


def minus_one(model: Any) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = -1


@pytest.mark.parametrize("change", [without_rank, minus_one])
def test_a_size_that_is_left_open_in_another_way_is_taken_from_the_description(
    change: Callable[[Any], None], saved: Saved, tmp_path: Path
) -> None:
    model = network()
    change(model)
    source = saved(model)
    with pytest.raises(BuildError, match="how large its input is"):
        imported(source, tmp_path, described(None))
    (tmp_path / "imported").rmdir()
    dims = imported(source, tmp_path).graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_value for dim in dims] == [1, 3, 16, 16]


def unknown_op(model: Any) -> None:
    model.graph.node[1].op_type = "Strange"


def of_another_opset(model: Any) -> None:
    model.opset_import[0].version = 5


def of_a_new_format(model: Any) -> None:
    model.ir_version = 99


@pytest.mark.parametrize(
    ("change", "next_"),
    [
        (unknown_op, "update onnxruntime, or export the model again"),
        (of_another_opset, "onnx.checker.check_model says what is wrong"),
        (of_a_new_format, "made for a newer runtime"),
    ],
)
def test_what_the_runtime_does_not_load_comes_with_a_next_step(
    change: Callable[[Any], None], next_: str, saved: Saved, tmp_path: Path
) -> None:
    model = network()
    change(model)
    with pytest.raises(PredictionError, match=f"(?s)cannot load.*next:.*{next_}"):
        imported(saved(model), tmp_path)


def test_a_model_of_the_first_formats_is_lifted(saved: Saved, tmp_path: Path) -> None:
    """Before version 4 constants were inputs too."""
    model = network(opset=9)
    model.ir_version = 3
    # Clip had its bounds as attributes then.
    clip = model.graph.node[1]
    del clip.input[1:]
    clip.attribute.extend([helper.make_attribute("min", 0.0), helper.make_attribute("max", 6.0)])
    kept = [t for t in model.graph.initializer if t.name not in {"low", "high"}]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    model.graph.input.extend(
        helper.make_tensor_value_info(t.name, TensorProto.FLOAT, t.dims) for t in kept
    )
    source = saved(model)
    lifted = imported(source, tmp_path)
    assert [each.name for each in lifted.graph.input] == ["images"]
    meant = OnnxImporter().answers(source, pictures(2))
    said = answers_of(tmp_path / "imported" / "model.onnx", pictures(2))
    np.testing.assert_allclose(said[1]["said"], meant[1]["said"], rtol=1e-5, atol=1e-6)
