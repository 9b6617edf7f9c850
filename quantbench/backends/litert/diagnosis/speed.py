"""Where the time of a `.tflite` model goes: each op as a model of its own.

LiteRT has no profiler that Python reaches. Each op runs alone, on the values that it has in the
whole model, by the kernel that it has there.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.backends.litert.graph import Graph
from quantbench.backends.litert.interpreter import LiteRTModel, model_file
from quantbench.backends.litert.trace import Tracer
from quantbench.errors import PredictionError
from quantbench.measure.rounds import Whole, median_ns
from quantbench.protocols import OpTime, Profile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from quantbench.backends.litert.graph import Op
    from quantbench.core.progress import Step
    from quantbench.core.settings import Machine

DELEGATE = "XNNPACK"
_PLAIN = "LiteRT"
_CONVERTS = {"QUANTIZE", "DEQUANTIZE", "TRANSPOSE", "CAST"}
_WHOLE_S, _OP_S = 1.0, 0.02
_METHOD = (
    "each op alone, as a model of its own with the values it has in the whole one; what an empty "
    "call takes is subtracted"
)
_ONE = np.ones(1, np.float32)


def profile(
    folder: Path, samples: Sequence[NDArray[np.float32]], machine: Machine, step: Step
) -> list[Profile]:
    """Time the model of an artifact's folder, whole and op by op, on the first sample.

    The delegate's work between ops (copies at the ends of a partition, caches that one op leaves
    to the next) is in the whole and in none of the ops.

    Args:
        folder: that holds one `.tflite` file.
        samples: float inputs of the model's shape; the first is used.
        machine: how many threads compute.
        step: is told of how many ops; what it returns is called with 1 after each.

    Raises:
        PredictionError: the interpreter cannot run the model.
        BuildError: it has several graphs.
    """
    path = model_file(folder)
    graph = Graph.read(path)
    with closing(LiteRTModel(path, machine.threads)) as model:
        taken, facts = model.delegated(), model.delegation()
        whole = Whole(lambda: model(samples[0]), _WHOLE_S)
        trace = Tracer(path, graph)
        for _ in trace(samples[0], ()):
            pass
        parts = _Parts(graph, trace, taken, machine.threads)
        advance = step("each op alone", len(graph.ops))
        ops = []
        for op in graph.ops:
            ops.append(parts.timed(op))
            advance(1)
        whole_ns = whole.again_ns()
    return [
        Profile(
            what="one inference",
            whole_ns=whole_ns,
            ops=tuple(ops),
            method=_METHOD,
            threads=machine.threads,
            partitions=facts["delegate_partitions"],
            delegate=DELEGATE if taken else "",
        )
    ]


class _Parts:
    """Ops of a graph, run alone."""

    def __init__(self, graph: Graph, trace: Tracer, taken: set[int], threads: int) -> None:
        self._graph, self._trace, self._taken, self._threads = graph, trace, taken, threads
        self._unpacking = _unpacking(graph, taken)
        self._empty_ns = {
            delegated: _alone_ns(_nothing(), [_ONE], threads, delegated=delegated)
            for delegated in (True, False)
        }

    def timed(self, op: Op) -> OpTime:
        """One op; one that only unpacks constants takes nothing where the delegate took it."""
        delegated, ns = op.index in self._taken, 0.0
        if op.index not in self._unpacking:
            part = [*self._unpacked_for(op), op]
            fed = [self._trace.stored(tensor) for tensor in self._graph.fed_to(part)]
            alone = _alone_ns(self._graph.part(part), fed, self._threads, delegated=delegated)
            ns = max(alone - self._empty_ns[delegated], 0.0)
        kernel = DELEGATE if delegated else _PLAIN
        converts = op.kind in _CONVERTS
        return OpTime(
            place=op.index, kind=op.kind, name=op.name, ns=ns, kernel=kernel, converts=converts
        )

    def _unpacked_for(self, op: Op) -> list[Op]:
        """The ops that make constants for an op, directly or by others."""
        found: dict[int, Op] = {}
        ahead = [op]
        while ahead:
            for tensor in ahead.pop().inputs:
                writer = self._graph.writer(tensor)
                if writer is not None and writer.index in self._unpacking:
                    found[writer.index] = writer
                    ahead.append(writer)
        return list(found.values())


def _unpacking(graph: Graph, taken: set[int]) -> set[int]:
    """Places of ops of constants alone that a delegate computes once, when it is prepared."""
    found: set[int] = set()
    held: set[int] = set()
    for op in graph.ops:
        if op.index in taken and all(graph.is_constant(t) or t in held for t in op.inputs):
            found.add(op.index)
            held.update(op.outputs)
    return found


def _alone_ns(
    content: bytes, fed: Sequence[NDArray[Any]], threads: int, *, delegated: bool
) -> float:
    """Median time of a part of a model by the kernels that it has in the whole one.

    Raises:
        PredictionError: the interpreter cannot run it.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    kernels = OpResolverType.AUTO if delegated else plain
    try:
        interpreter = Interpreter(
            model_content=content, num_threads=threads, experimental_op_resolver_type=kernels
        )
        interpreter.allocate_tensors()
        for detail, values in zip(interpreter.get_input_details(), fed, strict=True):
            interpreter.set_tensor(detail["index"], values)
        return median_ns(interpreter.invoke, seconds=_OP_S)
    except (ValueError, RuntimeError) as error:
        raise PredictionError("the LiteRT interpreter cannot run an op alone", got=error) from error


def _nothing() -> bytes:
    """A model that doubles one value: what it takes is what any call takes."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    def tensor(name: bytes) -> Any:
        made = schema.TensorT()
        made.name, made.shape, made.type, made.buffer = name, [1], schema.TensorType.FLOAT32, 0
        return made

    code, op, graph, model = (
        kind() for kind in (schema.OperatorCodeT, schema.OperatorT, schema.SubGraphT, schema.ModelT)
    )
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.ADD
    code.version = 1
    op.opcodeIndex, op.inputs, op.outputs = 0, [0, 0], [1]
    op.builtinOptionsType, op.builtinOptions = (
        schema.BuiltinOptions.AddOptions,
        schema.AddOptionsT(),
    )
    graph.tensors, graph.operators = [tensor(b"one"), tensor(b"two")], [op]
    graph.inputs, graph.outputs = [0], [1]
    model.version, model.operatorCodes = 3, [code]
    model.subgraphs, model.buffers = [graph], [schema.BufferT()]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
