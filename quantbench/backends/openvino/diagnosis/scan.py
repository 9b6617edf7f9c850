"""The static look: what the constants and ranges of an OpenVINO graph give away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantbench.diagnosis.scan_findings import (
    infinite_constant,
    odd_scale,
    saturating_processor,
    shared_scale,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quantbench.backends.openvino.graph import OpenVinoGraph
    from quantbench.diagnosis.findings import Finding

_STEPS = 255


def scan(graph: OpenVinoGraph, built: OpenVinoGraph) -> list[Finding]:
    """Look at a float graph, and at what was built of it."""
    places = {op.name: op.index for op in graph.ops}
    processor = saturating_processor("weights of 7 bits, NNCF's overflow_fix")
    return [
        *_infinite_constants(graph),
        *_scales(built, places),
        *_joined(graph, built),
        *([processor] if processor and built.roundings else []),
    ]


def _infinite_constants(graph: OpenVinoGraph) -> Iterator[Finding]:
    for op in graph.ops:
        for each in op.node.inputs():
            node = each.get_source_output().get_node()
            if node.get_type_name() != "Constant" or not node.get_element_type().is_real():
                continue
            remedy = "export it with a finite constant"
            if found := infinite_constant(op, node.get_data(), remedy):
                yield found


def _scales(built: OpenVinoGraph, places: dict[str, int]) -> Iterator[Finding]:
    for tensor, (low, high) in built.ranges.items():
        op = built.writer(tensor)
        if op is None:
            continue
        if found := odd_scale(op, places.get(op.name, op.index), (high - low) / _STEPS):
            yield found


def _joined(graph: OpenVinoGraph, built: OpenVinoGraph) -> Iterator[Finding]:
    """Concatenations whose parts need finer steps than the whole has."""
    steps = {tensor: (high - low) / _STEPS for tensor, (low, high) in built.ranges.items()}
    for op in graph.ops:
        if op.kind != "Concat" or op.outputs[0] not in steps:
            continue
        parts = [steps[tensor] for tensor in op.inputs if tensor in steps]
        if found := shared_scale(op, op.index, steps[op.outputs[0]], parts):
            yield found
