"""The steps of a diagnosis of a LiteRT case, cheapest first, and what each of them flags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quantbench.backends.litert.diagnosis.noise import side_by_side
from quantbench.backends.litert.diagnosis.scan import scan
from quantbench.backends.litert.graph import CARRIES, Graph
from quantbench.backends.litert.interpreter import model_file, opened
from quantbench.backends.litert.mending.ranges import observe
from quantbench.backends.litert.mending.recipes import build_int8, repair_graph
from quantbench.diagnosis.alone import Outputs, each_alone
from quantbench.diagnosis.looks import Looks, diagnosed
from quantbench.diagnosis.noise_findings import sensitive_ops
from quantbench.diagnosis.ranges import RULES
from quantbench.diagnosis.scan_findings import BEYOND_REASON
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


def diagnose(
    float_path: Path,
    built_path: Path,
    samples: Sequence[NDArray[Any]],
    step: Step,
    *,
    alone: bool = True,
) -> Diagnosis:
    """Look at a float model and what was built of it.

    Args:
        float_path: the float `.tflite`.
        built_path: the quantized one.
        samples: inputs of the calibration split, 16 or more.
        step: is told what is done next and of how many parts; what it returns is called with 1
            after each.
        alone: whether to quantize each op alone, which takes minutes.
    """
    graph, built = Graph.read(float_path), Graph.read(built_path)
    looks = Looks(
        scan=lambda: scan(graph, built),
        side_by_side=lambda: side_by_side(float_path, built_path, samples[:_SIDE_BY_SIDE]),
        at_the_end={op.name for op in tail(graph, CARRIES)},
        alone=lambda: _alone(float_path, samples, step),
    )
    return diagnosed(looks, step, alone=alone)


def litert_looks(
    float_model: Path,
    built: Path,
    samples: Sequence[NDArray[Any]],
    step: Step,
    *,
    alone: bool,
) -> Diagnosis:
    """`diagnose` of two artifact folders."""
    return diagnose(model_file(float_model), model_file(built), samples, step, alone=alone)


def _alone(
    float_path: Path,
    samples: Sequence[NDArray[Any]],
    step: Step,
) -> tuple[list[str], list[Finding]]:
    """Ops flagged one by one, in the ranges that minimum and maximum give."""
    observed = samples[:_SAMPLES]
    seen = observe(float_path, observed, step("observing ranges", 2 * len(observed)))
    if any(not abs(end) < BEYOND_REASON for each in seen.values() for end in each.whole):
        return [], []  # no range holds it: what the scan found comes first
    ranges = {name: RULES["minimum and maximum"](each) for name, each in seen.items()}
    # Hard-swishes stay written out: ops are named as the diagnosed graph names them.
    graph, _ = repair_graph(float_path.read_bytes(), ranges, fuse=False)
    outputs = Outputs(opened, graph.content(), samples[:_ALONE])
    advance = step("one op alone", len(graph.ops))
    noise = each_alone(graph.ops, lambda kept: build_int8(graph, ranges, kept), outputs, advance)
    return sensitive_ops(noise, graph.ops)
