"""`.tflite` files bent in their bytes and in their tables: an error, and the process lives."""

from __future__ import annotations

import copy
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools.flatbuffer_utils import convert_object_to_bytearray
from hypothesis import given, settings
from hypothesis import strategies as st

from quantbench.backends.litert.interpreter import LiteRTModel, finished_model
from quantbench.backends.litert.tflite import check_tflite, stored_types
from quantbench.core.isolated import run_isolated
from quantbench.errors import PredictionError
from tests.fuzz.conftest import EXAMPLES, FUZZ, cut

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ADD, CONCATENATION, FILL = 0, 2, 94
FLOAT32, INT32 = 0, 2


def tensor(name: str, shape: list[int], buffer: int = 0, kind: int = FLOAT32) -> Any:
    made = schema.TensorT()
    made.name, made.shape, made.buffer, made.type = name, shape, buffer, kind
    return made


def op(code: int, inputs: list[int], output: int, options: Any = None, kind: int = 0) -> Any:
    made = schema.OperatorT()
    made.opcodeIndex, made.inputs, made.outputs = code, inputs, [output]
    made.builtinOptions, made.builtinOptionsType = options, kind
    return made


def graph(tensors: list[Any], ops: list[Any], output: int) -> Any:
    made = schema.SubGraphT()
    made.tensors, made.operators, made.inputs, made.outputs = tensors, ops, [0], [output]
    return made


def model(graphs: list[Any], codes: list[int], *constants: Any) -> Any:
    made = schema.ModelT()
    made.version, made.subgraphs, made.operatorCodes, made.buffers = 3, graphs, [], []
    for code in codes:
        made.operatorCodes.append(schema.OperatorCodeT())
        made.operatorCodes[-1].builtinCode = code
        made.operatorCodes[-1].deprecatedBuiltinCode = min(code, 127)
        made.operatorCodes[-1].version = 1
    for constant in (np.empty(0, np.uint8), *constants):
        made.buffers.append(schema.BufferT())
        if constant.size:
            made.buffers[-1].data = np.frombuffer(constant.tobytes(), np.uint8)
    return made


@cache
def whole() -> Any:
    """concat(x + c, x), with a signature."""
    joined = schema.ConcatenationOptionsT()
    joined.axis = 1
    tensors = [tensor("x", [1, 4]), tensor("c", [4], 1), tensor("y", [1, 4]), tensor("z", [1, 8])]
    ops = [
        op(0, [0, 1], 2, schema.AddOptionsT(), schema.BuiltinOptions.AddOptions),
        op(1, [2, 0], 3, joined, schema.BuiltinOptions.ConcatenationOptions),
    ]
    made = model([graph(tensors, ops, 3)], [ADD, CONCATENATION], np.arange(4, dtype=np.float32))
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = "serving_default", 0
    for kind, index in (("inputs", 0), ("outputs", 3)):
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = kind, index
        setattr(signature, kind, [entry])
    made.signatureDefs = [signature]
    return made


@cache
def packed() -> bytes:
    return bytes(convert_object_to_bytearray(whole()))


ODD = st.sampled_from([-(2**31), -2, -1, 0, 1, 2, 3, 4, 99, 65536, 2**31 - 1])


@st.composite
def bent_tables(draw: Callable[..., Any]) -> bytes:  # noqa: C901 - a table
    """The model with one to three numbers of its tables replaced, packed again."""
    made = copy.deepcopy(whole())
    (first,) = made.subgraphs
    for _ in range(draw(st.integers(1, 3))):
        odd = draw(ODD)
        tensor_, op_ = draw(st.sampled_from(first.tensors)), draw(st.sampled_from(first.operators))
        held = draw(st.sampled_from([op_.inputs, op_.outputs, first.inputs, first.outputs]))
        entry = draw(
            st.sampled_from([*made.signatureDefs[0].inputs, *made.signatureDefs[0].outputs])
        )
        code = draw(st.sampled_from(made.operatorCodes))
        match draw(st.integers(0, 10)):
            case 0 | 1 if len(held):
                held[draw(st.integers(0, len(held) - 1))] = odd
            case 2:
                tensor_.shape = draw(st.lists(ODD, max_size=5))
            case 3:
                tensor_.type = draw(st.integers(0, 30))
            case 4:
                tensor_.buffer = abs(odd)
            case 5:
                op_.opcodeIndex = abs(odd)
            case 6:
                code.builtinCode, code.deprecatedBuiltinCode = draw(st.integers(0, 210)), 127
            case 7:
                made.buffers[1].data = made.buffers[1].data[: draw(st.integers(0, 16))]
            case 8:
                made.buffers[1].offset, made.buffers[1].size = abs(odd), abs(draw(ODD))
            case 9:
                entry.tensorIndex = abs(odd)
            case _:
                made.signatureDefs[0].subgraphIndex = abs(odd)
    return bytes(convert_object_to_bytearray(made))


BENT = st.deferred(lambda: cut(packed())) | bent_tables()


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@FUZZ
@given(BENT)
def test_tables(folder: Path, content: bytes) -> None:
    path = folder / "model.tflite"
    path.write_bytes(content)
    with suppress(PredictionError):
        check_tflite(path)
        stored_types(path)


@settings(FUZZ, max_examples=max(2, EXAMPLES // 100))
@given(BENT)
def test_what_passes_runs_here_after_it_ran_elsewhere(folder: Path, content: bytes) -> None:
    (folder / "model.tflite").write_bytes(content)
    with suppress(PredictionError):
        path = finished_model(folder)
        assert path is not None
        opened = LiteRTModel(path, threads=1)
        opened(np.zeros(opened.input["shape"], np.float32))


def test_the_whole_model_passes(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(packed())
    path = finished_model(tmp_path)
    assert path is not None
    assert stored_types(path) == {"FLOAT32": 16}
    said = LiteRTModel(path, threads=1)(np.ones((1, 4), np.float32))
    assert said["outputs"].tolist() == [[1, 2, 3, 4, 1, 1, 1, 1]]


def changed(change: Callable[[Any], None]) -> bytes:
    made = copy.deepcopy(whole())
    change(made)
    return bytes(convert_object_to_bytearray(made))


def crossed(made: Any) -> None:
    made.subgraphs[0].operators[1].inputs = [2, 99]


def left_out(made: Any) -> None:
    made.subgraphs[0].operators[1].inputs = [2, -1]


def huge(made: Any) -> None:
    made.subgraphs[0].tensors[3].shape = [2**31 - 1] * 8


def negative(made: Any) -> None:
    made.subgraphs[0].tensors[1].shape = [-4]


def short(made: Any) -> None:
    made.buffers[1].data = made.buffers[1].data[:15]


def elsewhere(made: Any) -> None:
    made.buffers[1].offset, made.buffers[1].size = 10_000_000, 16


def no_such_buffer(made: Any) -> None:
    made.subgraphs[0].tensors[1].buffer = 7


def no_such_op(made: Any) -> None:
    made.subgraphs[0].operators[0].opcodeIndex = 7


def no_such_graph(made: Any) -> None:
    made.signatureDefs[0].subgraphIndex = 7


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "identifier b''"),
        (b"\x1c\0\0\0TFL2" + bytes(40), "identifier b'TFL2'"),
        (b"\xff\xff\xff\x7fTFL3" + bytes(40), "error"),
        (changed(crossed), "inputs of an op: 99 of 4"),
        (changed(huge), "an op that reads and writes"),
        (changed(negative), "of shape [-4]"),
        (changed(short), "of 16 bytes has 15"),
        (changed(elsewhere), "a buffer of 16 bytes at 10,000,000"),
        (changed(no_such_buffer), "buffers: 7 of 2"),
        (changed(no_such_op), "ops: 7 of 2"),
        (changed(no_such_graph), "list index out of range"),
    ],
)
def test_a_bent_table_is_named(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    with pytest.raises(PredictionError, match=r"not a valid \.tflite file") as caught:
        finished_model(tmp_path)
    assert says in str(caught.value)


def test_a_file_that_ends_its_process_costs_an_error(tmp_path: Path) -> None:
    """An input that no concatenation can do without: LiteRT 2.3 follows it into nothing."""
    (tmp_path / "model.tflite").write_bytes(changed(left_out))
    check_tflite(tmp_path / "model.tflite")
    with pytest.raises(PredictionError, match=r"(?s)ends the process that opens it.*SIG|load"):
        finished_model(tmp_path)


def filled() -> Any:
    """x, as large as the constant says: 40 GB that no table shows."""
    shape = np.array([100_000, 100_000], np.int32)
    tensors = [tensor("x", []), tensor("n", [2], 1, INT32), tensor("y", [1, 1])]
    ops = [op(0, [1, 0], 2, schema.FillOptionsT(), schema.BuiltinOptions.FillOptions)]
    return model([graph(tensors, ops, 2)], [FILL], shape)


def test_memory_is_refused(tmp_path: Path) -> None:
    content = bytes(convert_object_to_bytearray(filled()))
    (tmp_path / "model.tflite").write_bytes(content)
    check_tflite(tmp_path / "model.tflite")
    with pytest.raises(PredictionError):
        finished_model(tmp_path)


DEEDS = """
import os, time
from quantbench.errors import PredictionError

def sleep(path): time.sleep(20)
def abort(path): os.abort()
def take(path): return bytearray(4 << 30)
def explain(path): raise PredictionError("said in the child", where=path)
"""


@pytest.mark.parametrize(
    ("function", "seconds", "says"),
    [
        ("sleep", 0.5, "no end within 0.5 s"),
        ("abort", 60, "SIGABRT"),
        ("take", 60, "MemoryError"),
        ("explain", 60, "^said in the child"),
    ],
)
def test_what_a_child_does_becomes_an_error(
    function: str, seconds: float, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deeds.py").write_text(DEEDS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(PredictionError, match=says):
        run_isolated(f"deeds:{function}", tmp_path, 1 << 30, seconds)
