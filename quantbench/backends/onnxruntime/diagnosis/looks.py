"""The looks into an ONNX case (`quantbench/diagnosis/looks.py` takes them)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quantbench.backends.onnxruntime.diagnosis.noise import side_by_side
from quantbench.backends.onnxruntime.diagnosis.scan import scan
from quantbench.backends.onnxruntime.files import onnx_file
from quantbench.backends.onnxruntime.graph import CARRIES, OnnxGraph
from quantbench.backends.onnxruntime.mending.observed import build_int8, observed
from quantbench.backends.onnxruntime.quantizers.prepared import prepared_content
from quantbench.backends.onnxruntime.session import opened
from quantbench.diagnosis.alone import Outputs, each_alone
from quantbench.diagnosis.looks import Looks, diagnosed
from quantbench.diagnosis.noise_findings import sensitive_ops
from quantbench.diagnosis.ranges import RULES
from quantbench.diagnosis.wiring import tail

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from quantbench.core.progress import Step
    from quantbench.diagnosis.findings import Diagnosis, Finding

_SAMPLES = 16
_SIDE_BY_SIDE = 8
_ALONE = 4


def onnx_looks(
    float_model: Path,
    built: Path,
    samples: Sequence[NDArray[Any]],
    step: Step,
    *,
    alone: bool,
) -> Diagnosis:
    """Look at a float model and what was built of it; both are artifact folders."""
    content = prepared_content(onnx_file(float_model))
    graph, other = OnnxGraph.of(content), OnnxGraph.read(onnx_file(built))
    looks = Looks(
        scan=lambda: scan(graph, other),
        side_by_side=lambda: side_by_side(graph, other, samples[:_SIDE_BY_SIDE]),
        at_the_end={op.name for op in tail(graph, CARRIES)},
        alone=lambda: _alone(content, graph, samples, step),
    )
    return diagnosed(looks, step, alone=alone)


def _alone(
    content: bytes, graph: OnnxGraph, samples: Sequence[NDArray[Any]], step: Step
) -> tuple[list[str], list[Finding]]:
    """Ops flagged one by one, in the ranges that minimum and maximum give."""
    seen = observed(graph, samples[:_SAMPLES], step)
    ranges = {name: RULES["minimum and maximum"](each) for name, each in seen.items()}
    outputs = Outputs(opened, content, samples[:_ALONE])
    advance = step("one op alone", len(graph.ops))
    noise = each_alone(
        graph.ops,
        lambda kept: build_int8(content, ranges, dict.fromkeys(kept, "")),
        outputs,
        advance,
    )
    return sensitive_ops(noise, graph.ops)
