"""The graph of a `.tflite` file: its ops in the order they run, its tensors, its constants.

Read and written by the schema's own object classes (`ai_edge_litert.schema_py_generated`). Ops and
tensors are numbered as the file numbers them; an op goes by the name of its first output.
"""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.backends.litert.nibbles import packed, unpacked
from quantbench.diagnosis.wiring import Linked
from quantbench.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

WEIGHTED = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0}  # op: axis of its channels
# What carries an output's values as they are, or squashes them: judged with what feeds it.
CARRIES = {
    *("LOGISTIC", "SOFTMAX", "RESHAPE", "CONCATENATION", "TRANSPOSE", "STRIDED_SLICE", "SLICE"),
    *("SQUEEZE", "EXPAND_DIMS", "DEQUANTIZE", "QUANTIZE", "MUL", "ADD", "SUB", "EXP", "SPLIT"),
}


@dataclass(frozen=True)
class Op:
    """One op.

    Attributes:
        index: its place in the order of execution.
        kind: the schema's name, e.g. `CONV_2D`.
        name: of its first output.
        inputs: numbers of the tensors it reads, without those left out.
        outputs: numbers of the tensors it writes.
        table: the schema's object.
    """

    index: int
    kind: str
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    table: Any

    @property
    def activation(self) -> str:
        """The fused activation function: `NONE`, `RELU`, `RELU6`, ..."""
        from ai_edge_litert import schema_py_generated as schema

        number = getattr(self.table.builtinOptions, "fusedActivationFunction", 0)
        return _word(schema.ActivationFunctionType, number)


class Graph(Linked[int, Op]):
    """A model of one graph, to be looked into and changed in memory."""

    def __init__(self, content: bytes, where: str = "the model") -> None:
        """Read a file's content.

        Raises:
            BuildError: it holds several graphs (a loop or a branch), or is cut off.
        """
        from ai_edge_litert import schema_py_generated as schema

        self._model = schema.ModelT.InitFromPackedBuf(content, 0)
        if len(self._model.subgraphs) != 1:
            raise BuildError(
                "a model of several graphs is not looked into",
                where=where,
                expected="one graph",
                got=f"{len(self._model.subgraphs)}: a loop or a branch",
                remedy="export it without control flow",
            )
        self._graph = self._model.subgraphs[0]
        self._content: bytes | None = None
        for buffer in self._model.buffers:
            if buffer.offset > 1:  # ai-edge-quantizer writes constants behind the tables
                buffer.data = _slice(content, buffer.offset, buffer.size, where)
                buffer.offset = buffer.size = 0

    @classmethod
    def read(cls, path: Path) -> Graph:
        """Of a `.tflite` file."""
        return cls(path.read_bytes(), path.name)

    def copy(self) -> Graph:
        """Another one, to be changed."""
        return Graph(self.content())

    def content(self) -> bytes:
        """The file's content; the same graph gives the same bytes.

        Equal vectors are written once: the zero points of weights and biases alone, all zeros,
        take 16 bytes a channel.
        """
        if self._content is None:
            self._content = _packed(self._model)
        return self._content

    @cached_property
    def ops(self) -> tuple[Op, ...]:
        """In the order they run."""
        kinds = self._kinds
        return tuple(
            self._op(i, kinds[table.opcodeIndex], table)
            for i, table in enumerate(self._graph.operators)
        )

    @cached_property
    def inputs(self) -> tuple[int, ...]:
        """Tensors that are fed."""
        return tuple(int(t) for t in self._graph.inputs)

    @cached_property
    def outputs(self) -> tuple[int, ...]:
        """Tensors that are read."""
        return tuple(int(t) for t in self._graph.outputs)

    def name(self, tensor: int) -> str:
        """The tensor's name."""
        return str(self._graph.tensors[tensor].name.decode(errors="replace"))

    def shape(self, tensor: int) -> tuple[int, ...]:
        """The tensor's shape; () where the file says none."""
        shape = self._graph.tensors[tensor].shape
        return () if shape is None else tuple(int(n) for n in shape)

    def dtype(self, tensor: int) -> str:
        """The schema's word in lower case, e.g. `float32`."""
        from ai_edge_litert import schema_py_generated as schema

        number = self._graph.tensors[tensor].type
        return _word(schema.TensorType, number).lower()

    def quantization(self, tensor: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Scales and zero points, [1] or [channels]; empty where it is not quantized."""
        params = self._graph.tensors[tensor].quantization
        if params is None or params.scale is None:
            return np.zeros(0), np.zeros(0, np.int64)
        points = np.zeros(len(params.scale)) if params.zeroPoint is None else params.zeroPoint
        return np.asarray(params.scale, np.float64), np.asarray(points, np.int64)

    def quantized_axis(self, tensor: int) -> int:
        """The axis along which a tensor has a scale for each channel."""
        params = self._graph.tensors[tensor].quantization
        return 0 if params is None else int(params.quantizedDimension)

    def outputs_by_name(self) -> dict[str, int]:
        """What is read: by the names of the model's signature, of its tensors where it has none."""
        for signature in self._model.signatureDefs or ():
            return {each.name.decode(): int(each.tensorIndex) for each in signature.outputs}
        return {self.name(tensor): tensor for tensor in self.outputs}

    def is_constant(self, tensor: int) -> bool:
        """Whether the file holds its values."""
        data = self._model.buffers[self._graph.tensors[tensor].buffer].data
        return data is not None and len(data) > 0

    def is_float_constant(self, tensor: int) -> bool:
        """Whether the file holds its values, in float32."""
        return self.is_constant(tensor) and self.dtype(tensor) == "float32"

    def fed_to(self, ops: Iterable[Op]) -> list[int]:
        """What some ops read that neither the file holds nor one of them writes."""
        chosen = sorted(ops, key=lambda op: op.index)
        written = {tensor for op in chosen for tensor in op.outputs}
        read = dict.fromkeys(tensor for op in chosen for tensor in op.inputs)
        return [t for t in read if t not in written and not self.is_constant(t)]

    def part(self, ops: Iterable[Op]) -> bytes:
        """Some ops as a model of their own, to be measured.

        Its inputs are `fed_to(ops)`, its outputs what the ops write and others read.
        """
        from ai_edge_litert import schema_py_generated as schema

        chosen = sorted(ops, key=lambda op: op.index)
        mine, outputs = {op.index for op in chosen}, set(self.outputs)
        written = [tensor for op in chosen for tensor in op.outputs]
        left = [
            tensor
            for tensor in written
            if tensor in outputs or any(op.index not in mine for op in self.readers(tensor))
        ]
        used = dict.fromkeys([*(t for op in chosen for t in op.inputs), *written])
        numbers = {tensor: number for number, tensor in enumerate(used)}
        model, graph = copy(self._model), schema.SubGraphT()
        model.buffers = [schema.BufferT()]
        graph.tensors, graph.operators = [], []
        for tensor in numbers:
            table = copy(self._graph.tensors[tensor])
            model.buffers += [self._model.buffers[table.buffer]] * self.is_constant(tensor)
            table.buffer = len(model.buffers) - 1 if self.is_constant(tensor) else 0
            graph.tensors.append(table)
        for op in chosen:
            table = copy(op.table)
            table.inputs = [numbers.get(int(tensor), -1) for tensor in op.table.inputs]
            table.outputs = [numbers[tensor] for tensor in op.outputs]
            graph.operators.append(table)
        graph.inputs = [numbers[tensor] for tensor in self.fed_to(chosen)]
        graph.outputs = [numbers[tensor] for tensor in left or written]
        model.subgraphs = [graph]
        model.signatureDefs = model.metadata = model.metadataBuffer = None
        return _packed(model)

    def constant(self, tensor: int) -> NDArray[Any]:
        """A constant's values as they are stored; integers of four bits as int8.

        Raises:
            BuildError: of a type that numpy does not know.
        """
        stored = self._model.buffers[self._graph.tensors[tensor].buffer].data
        shape = self.shape(tensor)
        if self.dtype(tensor) == "int4":
            halves = np.frombuffer(bytes(stored), np.uint8)
            return unpacked(halves, math.prod(shape)).reshape(shape)
        try:
            dtype = np.dtype(self.dtype(tensor))
        except TypeError as error:
            raise BuildError(
                "a constant cannot be read", where=self.name(tensor), got=self.dtype(tensor)
            ) from error
        return np.frombuffer(bytes(stored), dtype).reshape(shape)

    def scalar(self, tensor: int) -> float | None:
        """The value of a constant that has one alone."""
        if not self.is_constant(tensor) or math.prod(self.shape(tensor)) != 1:
            return None
        return float(self.constant(tensor).ravel()[0])

    def is_shared(self, tensor: int) -> bool:
        """Whether a constant is read by several ops, or its bytes by several tensors."""
        buffer = self._graph.tensors[tensor].buffer
        same = sum(other.buffer == buffer for other in self._graph.tensors)
        return same > 1 or len(self.readers(tensor)) > 1

    def set_constant(self, tensor: int, values: NDArray[Any]) -> None:
        """Other values of the same shape and type; tensors that share its bytes keep theirs."""
        from ai_edge_litert import schema_py_generated as schema

        if self.dtype(tensor) == "int4":
            content = packed(values)
        else:
            dtype = np.dtype(self.dtype(tensor))
            content = np.frombuffer(np.ascontiguousarray(values, dtype).tobytes(), np.uint8)
        table = self._graph.tensors[tensor]
        if sum(other.buffer == table.buffer for other in self._graph.tensors) > 1:
            self._model.buffers.append(schema.BufferT())
            table.buffer = len(self._model.buffers) - 1
        self._model.buffers[table.buffer].data = content
        self._content = None

    def add_constant(self, name: str, values: NDArray[Any]) -> int:
        """A new float32 constant; returns its number."""
        from ai_edge_litert import schema_py_generated as schema

        buffer, tensor = schema.BufferT(), schema.TensorT()
        buffer.data = np.frombuffer(values.astype(np.float32).tobytes(), np.uint8)
        self._model.buffers.append(buffer)
        tensor.shape, tensor.type = list(values.shape), schema.TensorType.FLOAT32
        tensor.buffer, tensor.name = len(self._model.buffers) - 1, name.encode()
        tensor.hasRank = True
        self._graph.tensors.append(tensor)
        self._content = None
        return len(self._graph.tensors) - 1

    def become(self, op: Op, kind: str, inputs: Iterable[int], options: Any = None) -> None:
        """Turn an op into one of another kind, with the schema's options where it has some."""
        self._fill(op.table, kind, inputs, options)
        self._changed()

    def insert_before(
        self, op: Op, kind: str, inputs: Iterable[int], options: Any, name: str
    ) -> int:
        """A new op of one output, shaped and typed like its first input; returns that tensor."""
        inputs = list(inputs)
        output = copy(self._graph.tensors[inputs[0]])
        output.name, number = name.encode(), len(self._graph.tensors)
        self._graph.tensors.append(output)
        self._insert(op.index, kind, inputs, number, options)
        self._changed()
        return number

    def _insert(
        self, place: int, kind: str, inputs: Iterable[int], output: int, options: Any = None
    ) -> None:
        from ai_edge_litert import schema_py_generated as schema

        table = schema.OperatorT()
        table.outputs = [output]
        self._fill(table, kind, inputs, options)
        self._graph.operators.insert(place, table)

    def _fill(self, table: Any, kind: str, inputs: Iterable[int], options: Any) -> None:
        from ai_edge_litert import schema_py_generated as schema

        table.opcodeIndex, table.inputs = self._code(kind), list(inputs)
        word = type(options).__name__.removesuffix("T") if options is not None else "NONE"
        table.builtinOptions = options
        table.builtinOptionsType = getattr(schema.BuiltinOptions, word)

    def insert_rounding(self, tensor: int, scale: float, point: int) -> None:
        """Round what an op writes to int8 of this scale and zero point, and read it back in float.

        Every op that reads it sees the rounded values; an output of the graph stays as it is.
        """
        from ai_edge_litert import schema_py_generated as schema

        writer = self._writers[tensor]
        stored, read = copy(self._graph.tensors[tensor]), copy(self._graph.tensors[tensor])
        stored.name, read.name = (self.name(tensor).encode() + end for end in (b"/int8", b"/read"))
        stored.type = schema.TensorType.INT8
        stored.quantization = schema.QuantizationParametersT()
        stored.quantization.scale, stored.quantization.zeroPoint = [scale], [point]
        first = len(self._graph.tensors)
        self._graph.tensors += [stored, read]
        self.rewire(tensor, first + 1)
        ends = (("QUANTIZE", tensor, first), ("DEQUANTIZE", first, first + 1))
        for place, (kind, source, target) in enumerate(ends, start=writer.index + 1):
            self._insert(place, kind, [source], target)
        self._changed()

    def rewire(self, tensor: int, other: int) -> None:
        """Let every op that reads a tensor read another one."""
        for op in self.readers(tensor):
            op.table.inputs = [other if i == tensor else int(i) for i in op.table.inputs]
        self._changed()

    def set_input(self, op: Op, place: int, tensor: int) -> None:
        """Let an op read another tensor at one of its inputs."""
        op.table.inputs = [tensor if i == place else int(t) for i, t in enumerate(op.table.inputs)]
        self._changed()

    def drop(self, ops: Iterable[Op]) -> None:
        """Take ops out whose outputs nobody reads any more."""
        gone = {id(op.table) for op in ops}
        self._graph.operators = [op for op in self._graph.operators if id(op) not in gone]
        self._changed()

    def _code(self, kind: str) -> int:
        """The number of an op's kind in this model."""
        from ai_edge_litert import schema_py_generated as schema

        number = getattr(schema.BuiltinOperator, kind)
        codes = self._model.operatorCodes
        place = next((i for i, code in enumerate(codes) if code.builtinCode == number), None)
        if place is None:
            code = schema.OperatorCodeT()
            code.builtinCode = code.deprecatedBuiltinCode = number
            code.version, place = 1, len(codes)
            codes.append(code)
        return place

    def _changed(self) -> None:
        self._content = None
        for name in ("ops", "_readers", "_writers"):
            self.__dict__.pop(name, None)

    def _op(self, index: int, kind: str, table: Any) -> Op:
        outputs = tuple(int(t) for t in table.outputs)
        return Op(
            index=index,
            kind=kind,
            name=self.name(outputs[0]) if outputs else "",
            inputs=tuple(int(t) for t in table.inputs if t >= 0),
            outputs=outputs,
            table=table,
        )

    @property
    def _kinds(self) -> list[str]:
        from ai_edge_litert import schema_py_generated as schema

        names = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}
        return [
            # Old files have small numbers in the old field alone.
            names[max(code.builtinCode, code.deprecatedBuiltinCode)]
            for code in self._model.operatorCodes
        ]


def _packed(model: Any) -> bytes:
    """A model's objects as a file."""
    builder = _sharing_builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _sharing_builder() -> Any:
    import flatbuffers

    written: dict[tuple[str, bytes], Any] = {}

    def once(builder: Any, values: NDArray[Any]) -> Any:
        key = values.dtype.str, values.tobytes()
        if key not in written:
            written[key] = flatbuffers.Builder.CreateNumpyVector(builder, values)
        return written[key]

    return type("Sharing", (flatbuffers.Builder,), {"CreateNumpyVector": once})(1024)


def _slice(content: bytes, offset: int, size: int, where: str) -> NDArray[np.uint8]:
    data = np.frombuffer(content[offset : offset + size], np.uint8)
    if data.size != size:
        raise BuildError(
            "a model's constants are cut off",
            where=where,
            expected=f"{offset + size:,} bytes or more",
            got=f"{len(content):,}",
            remedy="build or download it again",
        )
    return data


def _word(enumeration: type, number: int) -> str:
    """The schema's name of a number."""
    return next(str(name) for name, value in vars(enumeration).items() if value == number)
