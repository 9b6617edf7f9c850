"""ONNX Runtime's own profile, in the common form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from quantbench.backends.onnxruntime.diagnosis.speed import _ops, kind_of, profile
from quantbench.backends.onnxruntime.quantizers.floats import FloatQuantizer
from quantbench.backends.onnxruntime.quantizers.static import StaticQuantizer
from quantbench.core.settings import Machine
from quantbench.errors import PredictionError
from quantbench.study import Scheme
from tests.backends.onnxruntime.conftest import network, pictures
from tests.diagnosis.products import silent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize(
    ("ran", "called"),
    [
        ("QLinearConv", "Conv"),
        ("ConvInteger", "Conv"),
        ("MatMulIntegerToFloat", "MatMul"),
        ("NhwcMaxPool", "MaxPool"),
        ("QLinearLeakyRelu", "LeakyRelu"),
        ("QuantizeLinear", "QuantizeLinear"),
    ],
)
def test_a_kind_is_what_the_file_called_it(ran: str, called: str) -> None:
    assert kind_of(ran) == called


def test_nodes_that_ran_are_timed_and_conversions_are_known(
    saved: Callable[[Any], Path], tmp_path: Path
) -> None:
    samples, float_model = pictures(8), saved(network())
    found = {}
    for name, quantizer in (
        ("ort_float32", FloatQuantizer()),
        ("ort_int8_static", StaticQuantizer()),
    ):
        folder = tmp_path / name
        folder.mkdir()
        quantizer.build(float_model, Scheme.parse(name), samples, folder)
        (found[name],) = profile(folder, samples, Machine(2), silent)
    plain, rounded = found["ort_float32"], found["ort_int8_static"]
    assert {"Conv", "MatMul"} <= {op.kind for op in plain.ops}
    assert sum(op.kind == "Conv" for op in rounded.ops) == sum(
        op.kind == "Conv" for op in plain.ops
    )
    assert {op.kind for op in rounded.ops if op.converts} >= {"QuantizeLinear"}
    for each in found.values():
        assert all(op.ns >= 0 and op.kernel == "CPU" for op in each.ops)
        assert len({op.name for op in each.ops}) == len(each.ops)


def test_a_node_in_a_loop_counts_all_its_runs_and_the_loop_none() -> None:
    def event(name: str, kind: str, microseconds: float) -> dict[str, Any]:
        about = {"op_name": kind, "provider": "CPUExecutionProvider"}
        named = {"cat": "Node", "name": f"{name}_kernel_time"}
        return {**named, "dur": microseconds, "args": about}

    inference = [*[event("body", "MatMul", 100.0)] * 10, event("loop", "Loop", 1100.0)]
    (found,) = _ops(inference * 23)
    assert (found.kind, found.ns) == ("MatMul", 1_000_000)


def test_on_a_gpu_launches_are_not_taken_for_work(saved: Callable[[Any], Path]) -> None:
    with pytest.raises(PredictionError, match="times launches"):
        profile(saved(network()), pictures(1), Machine(2, "cuda"), silent)
