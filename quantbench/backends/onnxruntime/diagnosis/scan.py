"""The static look: what the constants and scales of an ONNX graph give away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantbench.backends.onnxruntime.graph import WEIGHTED
from quantbench.diagnosis.scan_findings import (
    infinite_constant,
    odd_scale,
    saturating_processor,
    shared_scale,
    stuck_biases,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quantbench.backends.onnxruntime.graph import OnnxGraph
    from quantbench.diagnosis.findings import Finding

_BIAS = 2  # place among a weighted node's inputs


def scan(graph: OnnxGraph, built: OnnxGraph) -> list[Finding]:
    """Look at a float graph, and at what was built of it."""
    places = {op.name: op.index for op in graph.ops}
    processor = saturating_processor(
        "SessionOptions: session.x64quantprecision=1, or weights of 7 bits"
    )
    return [
        *_infinite_constants(graph),
        *_scales(built, places),
        *_joined(graph, built),
        *_biases(built, places),
        *([processor] if processor and built.scales else []),
    ]


def _infinite_constants(graph: OnnxGraph) -> Iterator[Finding]:
    for op in graph.ops:
        for tensor in op.inputs:
            if graph.is_constant(tensor) and graph.constant(tensor).dtype.kind == "f":
                remedy = "export it with a finite constant"
                if found := infinite_constant(op, graph.constant(tensor), remedy):
                    yield found


def _scales(built: OnnxGraph, places: dict[str, int]) -> Iterator[Finding]:
    for tensor, (_, _, scale, _) in built.scales.items():
        op = built.writer(tensor)
        if op is None:
            continue
        if found := odd_scale(op, places.get(op.name, op.index), float(scale.max())):
            yield found


def _joined(graph: OnnxGraph, built: OnnxGraph) -> Iterator[Finding]:
    """Concatenations whose parts need finer steps than the whole has."""
    for op in graph.ops:
        if op.kind != "Concat" or op.outputs[0] not in built.scales:
            continue
        parts = [
            float(built.scales[tensor][2].max()) for tensor in op.inputs if tensor in built.scales
        ]
        scale = float(built.scales[op.outputs[0]][2].max())
        if found := shared_scale(op, op.index, scale, parts):
            yield found


def _biases(built: OnnxGraph, places: dict[str, int]) -> Iterator[Finding]:
    for op in built.ops:
        if op.kind not in WEIGHTED or len(op.inputs) <= _BIAS:
            continue
        back = built.writer(op.inputs[_BIAS])
        if back is None or back.kind != "DequantizeLinear" or not built.is_constant(back.inputs[0]):
            continue
        values = built.constant(back.inputs[0])
        place = places.get(op.name, op.index)
        if found := stuck_biases(op, place, values, "leave it in float: quantbench mend"):
            yield found
