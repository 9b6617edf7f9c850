"""The looks into an OpenVINO case (`quantbench/diagnosis/looks.py` takes them)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quantbench.backends.openvino.diagnosis.noise import side_by_side
from quantbench.backends.openvino.diagnosis.scan import scan
from quantbench.backends.openvino.files import model_file, read
from quantbench.backends.openvino.graph import CARRIES, OpenVinoGraph
from quantbench.backends.openvino.mending.mending import opened_content
from quantbench.backends.openvino.mending.reverted import packed, reverted
from quantbench.backends.openvino.quantizers.static import quantized
from quantbench.diagnosis.alone import Outputs, each_alone
from quantbench.diagnosis.looks import Looks, diagnosed
from quantbench.diagnosis.noise_findings import sensitive_ops
from quantbench.diagnosis.wiring import tail

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from quantbench.core.progress import Step
    from quantbench.diagnosis.findings import Diagnosis, Finding

_SIDE_BY_SIDE = 8
_ALONE = 4


def openvino_looks(
    float_model: Path,
    built: Path,
    samples: Sequence[NDArray[Any]],
    step: Step,
    *,
    alone: bool,
) -> Diagnosis:
    """Look at a float model and what was built of it; both are artifact folders."""
    graph, other = (OpenVinoGraph(read(model_file(folder))) for folder in (float_model, built))
    looks = Looks(
        scan=lambda: scan(graph, other),
        side_by_side=lambda: side_by_side(graph, other, samples[:_SIDE_BY_SIDE]),
        at_the_end={op.name for op in tail(graph, CARRIES)},
        alone=lambda: _alone(graph, samples, step),
    )
    return diagnosed(looks, step, alone=alone)


def _alone(
    graph: OpenVinoGraph, samples: Sequence[NDArray[Any]], step: Step
) -> tuple[list[str], list[Finding]]:
    """Ops flagged one by one, in the ranges that NNCF gives them."""
    whole = quantized(graph.model, samples, "mixed")
    outputs = Outputs(opened_content, packed(graph.model), samples[:_ALONE])
    advance = step("one op alone", len(graph.ops))
    noise = each_alone(
        graph.ops, lambda kept: packed(reverted(whole, graph, kept)), outputs, advance
    )
    return sensitive_ops(noise, graph.ops)
