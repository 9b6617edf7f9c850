"""`.onnx` files bent in their bytes and in their messages: an error, and the process lives."""

from __future__ import annotations

import copy
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from quantbench.backends.onnxruntime.check import float_graph
from quantbench.backends.onnxruntime.files import check_onnx, onnx_file, read_onnx, stored_types
from quantbench.backends.onnxruntime.graph import OnnxGraph
from quantbench.backends.onnxruntime.importers.onnx import completed
from quantbench.backends.onnxruntime.session import answers_of
from quantbench.core.isolated import run_isolated
from quantbench.errors import PredictionError, QuantbenchError
from tests.fuzz.conftest import EXAMPLES, FUZZ, cut

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WEIGHTS = np.arange(32, dtype=np.float32)


def branch(op: str) -> Any:
    """One of a condition's two graphs."""
    node = helper.make_node(op, ["h"], [f"{op}_said"])
    said = helper.make_tensor_value_info(f"{op}_said", TensorProto.FLOAT, None)
    return helper.make_graph([node], op, [], [said])


@cache
def whole() -> Any:
    """if sum(x @ w) > 0 then relu(x @ w + c) else sigmoid; w [4, 8] lies in another file."""
    w = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4, 8])
    w.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "weights.bin"), ("offset", "0"), ("length", "128")):
        w.external_data.add(key=key, value=value)
    c = numpy_helper.from_array(np.arange(8, dtype=np.float32), "c")
    zero = numpy_helper.from_array(np.float32(0), "held")
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node("Add", ["m", "c"], ["h"]),
        helper.make_node("ReduceSum", ["h"], ["s"], keepdims=0),
        helper.make_node("Constant", [], ["z"], value=zero),
        helper.make_node("Greater", ["s", "z"], ["b"]),
        helper.make_node(
            "If", ["b"], ["y"], then_branch=branch("Relu"), else_branch=branch("Sigmoid")
        ),
        helper.make_node("Softmax", ["y"], ["said"], axis=-1),
    ]
    given_ = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])
    said = helper.make_tensor_value_info("said", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "small", [given_], [said], [w, c])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    made.ir_version = 8
    return made


ODD_NUMBERS = [-(2**63), -(2**31), -2, -1, 0, 1, 2, 3, 9, 65536, 2**31 - 1, 2**32, 2**62, 2**63 - 1]
ODD_TEXTS = [
    *("", "\0", "x", "w", "h", "m", "said", "ai.onnx", "com.microsoft", "strange", "9" * 400),
    *("../secret.bin", "/etc/hostname", "out/secret.bin", "loop/x", "weights.bin", "n" * 5000),
    *("-1", "9223372036854775807", "1e9", "offset", "length", "location", "tensor", "If", "Loop"),
]


def parts(message: Any) -> list[Any]:
    """The message and all that it is made of."""
    found, ahead = [], [message]
    while ahead:
        found.append(each := ahead.pop())
        for field, value in each.ListFields():
            if field.message_type is not None:
                ahead += list(value) if field.is_repeated else [value]
    return found


def odd(draw: Callable[..., Any], field: Any) -> Any:
    """A value of the field's type."""
    match field.cpp_type:
        case field.CPPTYPE_STRING if field.type == field.TYPE_BYTES:
            return draw(st.binary(max_size=40))
        case field.CPPTYPE_STRING:
            return draw(st.sampled_from(ODD_TEXTS))
        case field.CPPTYPE_FLOAT | field.CPPTYPE_DOUBLE:
            return draw(st.sampled_from([0.0, -1.0, float("nan"), float("inf"), 3e38]))
        case field.CPPTYPE_ENUM:
            return draw(st.sampled_from([each.number for each in field.enum_type.values]))
    return draw(st.sampled_from(ODD_NUMBERS))


@st.composite
def bent_messages(draw: Callable[..., Any]) -> bytes:
    """The model with one to three of its fields replaced, removed, doubled or swapped."""
    made = copy.deepcopy(whole())
    for _ in range(draw(st.integers(1, 3))):
        all_parts = parts(made)
        part = draw(st.sampled_from(all_parts))
        field = draw(st.sampled_from(list(part.DESCRIPTOR.fields)))
        if draw(st.integers(0, 7)) == 0:
            part.ClearField(field.name)
        elif field.message_type is not None:  # another of its kind, or the same once more
            kind = field.message_type.full_name
            others = [each for each in all_parts if each.DESCRIPTOR.full_name == kind]
            if others:
                other = copy.deepcopy(draw(st.sampled_from(others)))
                held = getattr(part, field.name)
                if field.is_repeated:
                    held.append(other)
                else:
                    held.CopyFrom(other)
        else:
            with suppress(ValueError):  # a number too wide for the field
                if field.is_repeated:
                    values = list(getattr(part, field.name))
                    at = draw(st.integers(0, len(values)))
                    values[at : at + draw(st.integers(0, 1))] = [odd(draw, field)]
                    part.ClearField(field.name)
                    getattr(part, field.name).extend(values)
                else:
                    setattr(part, field.name, odd(draw, field))
    return bytes(made.SerializeToString())


BENT = st.deferred(lambda: cut(whole().SerializeToString())) | bent_messages()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With data beside the model, and ways out of the folder."""
    around = tmp_path_factory.mktemp("onnx")
    (around / "secret.bin").write_bytes(bytes(10_000))
    made = around / "model"
    made.mkdir()
    (made / "weights.bin").write_bytes(WEIGHTS.tobytes())
    (made / "out").symlink_to(around)
    (made / "loop").symlink_to(made / "loop")
    return made


@FUZZ
@given(BENT)
def test_messages(folder: Path, content: bytes) -> None:
    path = folder / "model.onnx"
    path.write_bytes(content)
    with suppress(QuantbenchError):
        model = read_onnx(path)
        stored_types(model)
        float_graph(folder, "ort_float32")
        assert list(OnnxGraph(model).ops) is not None
        completed(model, (1, 4), path.name)


def is_read(folder: Path, content: bytes) -> bool:
    (folder / "model.onnx").write_bytes(content)
    try:
        read_onnx(folder / "model.onnx")
    except QuantbenchError:
        return False
    return True


@settings(FUZZ, max_examples=max(2, EXAMPLES // 100))
@given(data=st.data())
def test_what_passes_runs_here_after_it_ran_elsewhere(folder: Path, data: Any) -> None:
    data.draw(BENT.filter(lambda content: is_read(folder, content)))
    with suppress(QuantbenchError):
        path = onnx_file(folder)
        check_onnx(path)
        answers_of(path, [np.zeros((1, 4), np.float32)])


def test_the_whole_model_passes(folder: Path) -> None:
    path = folder / "model.onnx"
    path.write_bytes(whole().SerializeToString())
    assert stored_types(check_onnx(path)) == {"FLOAT": 128 + 32 + 4}
    (said,) = answers_of(path, [np.ones((1, 4), np.float32)])
    hidden = WEIGHTS.reshape(4, 8).sum(axis=0) + np.arange(8)
    meant = np.exp(hidden - hidden.max())
    np.testing.assert_allclose(said["said"][0], meant / meant.sum(), rtol=1e-5)


def outside(tensor: Any, location: str, offset: str = "0", length: str = "16") -> None:
    tensor.Clear()
    tensor.name, tensor.data_type, tensor.data_location = "f", TensorProto.FLOAT, tensor.EXTERNAL
    tensor.dims.append(4)
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=value)


def at(location: str, offset: str = "0", length: str = "16") -> Callable[[Any], None]:
    return lambda made: outside(made.graph.initializer[0], location, offset, length)


def unknown_type(made: Any) -> None:
    made.graph.initializer[1].data_type = 94


def in_a_function(made: Any) -> None:
    node = helper.make_node("Constant", [], ["f"])
    node.attribute.add(name="value", type=onnx.AttributeProto.TENSOR)
    outside(node.attribute[0].t, "../secret.bin")
    opset = helper.make_opsetid("", 13)
    made.functions.append(helper.make_function("own", "f", [], ["f"], [node], [opset]))


def of_a_library_in_a_function(made: Any) -> None:
    node = helper.make_node("Strange", [], ["f"], domain="somebody")
    made.functions.append(helper.make_function("own", "f", [], ["f"], [node], []))


def sparse(made: Any) -> None:
    outside(made.graph.sparse_initializer.add().values, "/etc/hostname")


def no_opset(made: Any) -> None:
    del made.opset_import[:]


def two_opsets(made: Any) -> None:
    made.opset_import.append(helper.make_opsetid("ai.onnx", 12))


def opset(version: int) -> Callable[[Any], None]:
    return lambda made: setattr(made.opset_import[0], "version", version)


def named_often(made: Any) -> None:
    for _ in range(3):
        outside(made.graph.initializer.add(), "large.bin", length=str(1 << 30))


def deep(made: Any) -> None:
    inner = branch("Relu")
    for i in range(9):
        node = helper.make_node("If", ["b"], [f"o{i}"], then_branch=inner, else_branch=inner)
        inner = helper.make_graph([node], "g", [], [])
    made.graph.node.append(node)


LEADS = {
    "unknown_type": (unknown_type, "no name defined for value 94"),
    "up": (at("../secret.bin"), "outside of its folder"),
    "absolute": (at("/etc/hostname"), "outside of its folder"),
    "by_a_link": (at("out/secret.bin"), "outside of its folder"),
    "nowhere": (at(""), "outside of its folder"),
    "in_a_circle": (at("loop/x"), "data are missing"),
    "null_byte": (at("\0"), "null byte"),
    "beyond_all": (
        at("weights.bin", "9223372036854775807"),
        "16 bytes at 9,223,372,036,854,775,807",
    ),
    "too_long": (at("weights.bin", "0", "129"), "129 bytes at 0"),
    "before_it": (at("weights.bin", "-1"), "16 bytes at -1"),
    "a_fraction": (at("weights.bin", "1e9"), "invalid literal"),
    "too_many_digits": (at("weights.bin", "9" * 5000), "ValueError"),
    "function": (in_a_function, "outside of its folder"),
    "op_of_a_function": (of_a_library_in_a_function, "domain 'somebody'"),
    "sparse": (sparse, "outside of its folder"),
    "no_opset": (no_opset, "one opset is to be said, not []"),
    "two_opsets": (two_opsets, "one opset is to be said, not [13, 12]"),
    "opset_0": (opset(0), "not [0]"),
    "opset_2_62": (opset(2**62), "not [4611686018427387904]"),
    "one_file_named_often": (named_often, "bytes of data in other files"),
    "deep": (deep, "without end"),
}


@pytest.mark.parametrize(("change", "says"), LEADS.values(), ids=LEADS)
def test_what_a_file_leads_to_is_named(
    change: Callable[[Any], None], says: str, folder: Path
) -> None:
    made = copy.deepcopy(whole())
    change(made)
    path = folder / "model.onnx"
    path.write_bytes(made.SerializeToString())
    with (folder / "large.bin").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(PredictionError) as caught:
        read_onnx(path)
    assert says in str(caught.value)


def test_a_name_that_is_no_text_is_refused(folder: Path) -> None:
    path = folder / "model.onnx"
    path.write_bytes(whole().SerializeToString().replace(b"MatMul", b"Mat\xfful"))
    with pytest.raises(PredictionError, match="op_type of a NodeProto is no text"):
        read_onnx(path)


def cyclic(made: Any) -> None:
    made.graph.node[0].input[0] = "said"


def short(made: Any) -> None:
    made.graph.initializer[1].raw_data = bytes(31)


def huge(made: Any) -> None:
    made.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.array([1 << 20] * 3), "c"))
    made.graph.node[1].CopyFrom(helper.make_node("ConstantOfShape", ["c"], ["h"]))


@pytest.mark.parametrize("change", [cyclic, short, huge])
def test_what_only_the_runtime_sees_costs_an_error(
    change: Callable[[Any], None], folder: Path
) -> None:
    made = copy.deepcopy(whole())
    change(made)
    (folder / "model.onnx").write_bytes(made.SerializeToString())
    with pytest.raises(PredictionError, match=r"(?s)cannot load|failed|ends the process"):
        check_onnx(folder / "model.onnx")


def test_a_loop_without_end_is_ended(folder: Path) -> None:
    made = copy.deepcopy(whole())
    body = helper.make_graph(
        [helper.make_node("Identity", [name], [f"{name}_out"]) for name in ("go", "held")],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("held", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("held_out", TensorProto.FLOAT, None),
        ],
    )
    made.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    made.graph.node[-1].CopyFrom(helper.make_node("Loop", ["", "yes", "y"], ["said"], body=body))
    path = folder / "model.onnx"
    path.write_bytes(made.SerializeToString())
    read_onnx(path)
    with pytest.raises(PredictionError, match="no end within 5 s"):
        run_isolated("quantbench.backends.onnxruntime.session:run_on_noise", path, 3 << 30, 5.0)
