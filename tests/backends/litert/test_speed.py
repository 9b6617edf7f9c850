"""Ops of a `.tflite` alone: each computes what it computes in the whole, by the same kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from quantbench.backends.litert.convert import convert
from quantbench.backends.litert.diagnosis.speed import profile
from quantbench.backends.litert.graph import Graph
from quantbench.backends.litert.interpreter import LiteRTModel, dequantize, model_file, quantize
from quantbench.backends.litert.trace import Tracer
from quantbench.core.settings import Machine
from quantbench.study import Scheme
from tests.backends.litert.conftest import silent

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SCHEMES = ("float32", "float16", "int8_dynamic", "int8_static")


@pytest.fixture(scope="module", params=SCHEMES)
def path(
    request: pytest.FixtureRequest,
    float_path: Path,
    samples: list[NDArray[Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    made = tmp_path_factory.mktemp(request.param) / "model.tflite"
    convert(float_path.parent / "saved", Scheme.parse(request.param), samples, made)
    return made


def test_each_op_alone_computes_what_it_computes_in_the_whole(
    path: Path, samples: list[NDArray[Any]]
) -> None:
    graph = Graph.read(path)
    trace = Tracer(path, graph)
    dict(trace(samples[0]))
    for op in graph.ops:
        alone = Interpreter(
            model_content=graph.part([op]),
            num_threads=1,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        alone.allocate_tensors()
        fed = [trace.stored(tensor) for tensor in graph.fed_to([op])]
        for detail, values in zip(alone.get_input_details(), fed, strict=True):
            alone.set_tensor(detail["index"], values)
        alone.invoke()
        said = [alone.get_tensor(each["index"]) for each in alone.get_output_details()]
        for values, tensor in zip(said, op.outputs, strict=True):
            meant = trace.stored(tensor)
            step = 1 if meant.dtype.kind != "f" else 0  # kernels may round a half otherwise
            np.testing.assert_allclose(values, meant, rtol=1e-4, atol=max(step, 1e-4))


def test_a_part_of_all_ops_is_the_whole(path: Path, samples: list[NDArray[Any]]) -> None:
    graph = Graph.read(path)
    alone = Interpreter(model_content=graph.part(graph.ops), num_threads=1)
    alone.allocate_tensors()
    assert len(alone.get_input_details()) == 1
    assert len(alone.get_output_details()) == len(graph.outputs)
    (detail,) = alone.get_input_details()
    alone.set_tensor(detail["index"], quantize(samples[0], detail))
    alone.invoke()
    meant = LiteRTModel(path, 1)(samples[0])
    said = [
        dequantize(alone.get_tensor(each["index"]), each) for each in alone.get_output_details()
    ]
    for values in meant.values():
        assert any(np.array_equal(values, other) for other in said if other.shape == values.shape)


def test_a_profile_has_every_op_with_its_kernel(path: Path, samples: list[NDArray[Any]]) -> None:
    (found,) = profile(path.parent, samples, Machine(2), silent)
    graph = Graph.read(path)
    assert [(op.kind, op.name) for op in found.ops] == [(op.kind, op.name) for op in graph.ops]
    taken = LiteRTModel(model_file(path.parent), 1).delegated()
    assert {op.place for op in found.ops if op.kernel == "XNNPACK"} == taken
    assert found.whole_ns > 0
    assert found.partitions == LiteRTModel(path, 1).delegation()["delegate_partitions"]
    for op in found.ops:
        unpacks = op.kind == "DEQUANTIZE" and all(
            graph.is_constant(tensor) for tensor in graph.ops[op.place].inputs
        )
        assert op.ns >= 0
        if unpacks and op.place in taken:  # once, when the model is opened
            assert op.ns == 0
