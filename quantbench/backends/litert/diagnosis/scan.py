"""The static look: what the constants and scales of a graph give away without running it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from quantbench.backends.litert.mending.hard_swish import hard_swishes
from quantbench.backends.litert.mending.repairs import biased, largest_weights
from quantbench.diagnosis.findings import Finding
from quantbench.diagnosis.scan_findings import (
    COSTLY,
    GRAVE,
    WORTH_KNOWING,
    infinite_constant,
    odd_scale,
    stuck_biases,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quantbench.backends.litert.graph import Graph

_DEAD = 1e-7  # of the largest weight of a channel over its bias: int8 steps below float32's own
_REPAIRED = "quantbench mend repairs it: scheme int8_mended"


def scan(graph: Graph, built: Graph | None = None) -> list[Finding]:
    """Look at a float graph, and at what was built of it."""
    findings = [*_infinite_constants(graph), *_hard_swishes(graph)]
    # Of a built graph its biases say whether the tool minded.
    findings += _dead_channels(graph, GRAVE if built is None else WORTH_KNOWING)
    if built is not None:
        places = {op.name: op.index for op in graph.ops}
        for look in (_scales, _biases, _empty_products):
            findings += look(built, places)
    return findings


def _infinite_constants(graph: Graph) -> Iterator[Finding]:
    for op in graph.ops:
        for tensor in op.inputs:
            if not graph.is_constant(tensor) or graph.dtype(tensor) not in {"float32", "float16"}:
                continue
            remedy = _REPAIRED if op.kind == "PADV2" else "export it with a finite constant"
            if found := infinite_constant(op, graph.constant(tensor), remedy):
                yield found


def _hard_swishes(graph: Graph) -> Iterator[Finding]:
    found = hard_swishes(graph)
    if found:
        yield Finding(
            cause="unfused hard-swish",
            ops=tuple(each.multiply.name for each in found),
            place=found[0].multiply.index,
            text=f"x * relu6(x + 3) is written out {len(found)} times: each is rounded to 8 bits "
            "three times, in scales that its product makes up to 6 times too coarse",
            numbers={"times": len(found)},
            remedy=_REPAIRED,
            weight=COSTLY,
        )


def _dead_channels(graph: Graph, weight_db: float) -> Iterator[Finding]:
    for op, weight, bias in biased(graph):
        if graph.dtype(weight) != "float32":
            continue
        largest = largest_weights(graph, op, weight)
        beside = np.abs(graph.constant(bias))
        (dead,) = np.nonzero((largest < _DEAD * beside) & (beside > 0))
        if dead.size:
            yield Finding(
                cause="dead channels",
                ops=(op.name,),
                place=op.index,
                text=f"{dead.size} of {largest.size} channels have no weights but a bias of up to "
                f"{beside[dead].max():.3g}: in steps of a scale that is nearly zero it overflows "
                "an int32",
                numbers={"channels": int(dead.size), "of": int(largest.size)},
                remedy=_REPAIRED,
                weight=weight_db,
            )


def _scales(built: Graph, places: dict[str, int]) -> Iterator[Finding]:
    for op in built.ops:
        for tensor in op.outputs:
            scales, _ = built.quantization(tensor)
            if not scales.size or built.dtype(tensor) == "float32":
                continue
            place = places.get(op.name, op.index)
            if found := odd_scale(op, place, float(scales.max())):
                yield found


def _biases(built: Graph, places: dict[str, int]) -> Iterator[Finding]:
    for op, _, bias in biased(built):
        if built.dtype(bias) != "int32":
            continue
        place = places.get(op.name, op.index)
        if found := stuck_biases(op, place, built.constant(bias), _REPAIRED):
            yield found


def _empty_products(built: Graph, places: dict[str, int]) -> Iterator[Finding]:
    """Matrix products whose constant input is all zeros."""
    for op in built.ops:
        if op.kind not in {"BATCH_MATMUL", "FULLY_CONNECTED"}:
            continue
        for tensor in op.inputs[:2]:
            if built.is_constant(tensor) and not built.constant(tensor).any():
                yield Finding(
                    cause="all-zero input",
                    ops=(op.name,),
                    place=places.get(op.name, op.index),
                    text=f"{op.kind} multiplies with zeros alone",
                    numbers={"values": int(built.constant(tensor).size)},
                    remedy="leave it in float",
                    weight=GRAVE,
                )
