"""Quantization noise: what a graph computes in integers beside what it computes in float."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from quantbench.backends.litert.graph import Graph
from quantbench.backends.litert.trace import Tracer
from quantbench.diagnosis.decibels import SILENT_DB, decibels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

FAIR_DB = 33.0  # of a tensor whose values spread over some 13 of 255 levels


@dataclass(frozen=True)
class TensorNoise:
    """One tensor of both graphs, over all samples.

    Attributes:
        place: of the op that writes it in the float graph.
        op: that op's name.
        kind: that op's kind.
        snr_db: signal to quantization noise, 10 log10(sum x^2 / sum (x - q)^2), at most 120.
        source_snr_db: the least of what the op reads; 120 where it reads the input alone.
        levels: standard deviation of the float values in steps of the scale; 0 in float.
        clipped: share of float values outside of what the tensor can hold.
        spare: stored values that are never used at the end where nothing is clipped.
        distinct: different stored values; 0 in float.
    """

    place: int
    op: str
    kind: str
    snr_db: float
    source_snr_db: float
    levels: float
    clipped: float
    spare: int
    distinct: int

    @property
    def drop_db(self) -> float:
        """What this op loses beyond what 8 bits cost any op, >= 0."""
        return max(min(self.source_snr_db, FAIR_DB) - self.snr_db, 0.0)


class _Sums:
    """Sums over samples that a tensor's numbers are made of."""

    def __init__(self) -> None:
        self.n = self.signal = self.noise = self.total = 0.0
        self.below = self.above = 0.0  # float values that the tensor cannot hold
        self.stored: set[int] = set()

    def add(self, values: NDArray[np.float32], said: NDArray[np.float32]) -> None:
        x, error = values.astype(np.float64), said.astype(np.float64) - values
        self.n += x.size
        self.total += float(x.sum())
        self.signal += float((x**2).sum())
        self.noise += float((error**2).sum())

    @property
    def snr_db(self) -> float:
        return decibels(self.signal, self.noise)

    @property
    def deviation(self) -> float:
        return float(np.sqrt(max(self.signal / self.n - (self.total / self.n) ** 2, 0.0)))


def side_by_side(
    float_path: Path, built_path: Path, samples: Sequence[NDArray[np.float32]]
) -> list[TensorNoise]:
    """Both graphs on the same samples, tensor by tensor in the float graph's order.

    Tensors are matched by name; what one graph alone has (fused, converted) is left out. Noise
    adds up along the graph; `drop_db` is an op's own part.
    """
    graph, built = Graph.read(float_path), Graph.read(built_path)
    names = {built.name(tensor): tensor for op in built.ops for tensor in op.outputs}
    pairs = {
        tensor: names[name]
        for op in graph.ops
        for tensor in op.outputs
        if (name := graph.name(tensor)) in names
    }
    sums = {tensor: _Sums() for tensor in pairs}
    trace, trace_built = Tracer(float_path, graph), Tracer(built_path, built)
    for sample in samples:
        said = dict(trace_built(sample))
        for tensor, values in trace(sample):
            other = pairs.get(tensor)
            if other is not None and other in said and said[other].size == values.size:
                sums[tensor].add(values, said[other])
                _count(sums[tensor], values, built, trace_built, other)
    return _in_order(graph, built, pairs, sums)


def _count(
    sums: _Sums, values: NDArray[np.float32], built: Graph, trace: Tracer, tensor: int
) -> None:
    """What the stored form of a tensor says."""
    stored = trace.stored(tensor)
    if stored.dtype.kind == "f":
        return
    (scale, *_), (point, *_) = built.quantization(tensor)
    limits = np.iinfo(stored.dtype)
    # Half a step beyond the end still rounds to it.
    low, high = ((end - point) * scale for end in (limits.min - 0.5, limits.max + 0.5))
    sums.below += float((values < low).sum())
    sums.above += float((values > high).sum())
    sums.stored.update(np.unique(stored).tolist())


def _in_order(
    graph: Graph, built: Graph, pairs: Mapping[int, int], sums: Mapping[int, _Sums]
) -> list[TensorNoise]:
    found, snr = [], dict.fromkeys(graph.inputs, SILENT_DB)
    for op in graph.ops:
        before = min((snr[t] for t in op.inputs if t in snr), default=SILENT_DB)
        for tensor in op.outputs:
            totals = sums.get(tensor)
            if totals is None or not totals.n:
                snr[tensor] = before
                continue
            snr[tensor] = totals.snr_db
            scales, _ = built.quantization(pairs[tensor])
            scale = float(scales[0]) if totals.stored and scales.size else 0.0
            usable = scale > 0 and np.isfinite(scale)
            found.append(
                TensorNoise(
                    place=op.index,
                    op=op.name,
                    kind=op.kind,
                    snr_db=totals.snr_db,
                    source_snr_db=before,
                    levels=totals.deviation / scale if usable else 0.0,
                    clipped=(totals.below + totals.above) / totals.n,
                    spare=_spare(totals, built.dtype(pairs[tensor])) if totals.stored else 0,
                    distinct=len(totals.stored),
                )
            )
    return found


def _spare(totals: _Sums, dtype: str) -> int:
    limits = np.iinfo(dtype)
    if totals.below and totals.above:
        return 0
    return min(totals.stored) - limits.min if totals.above else limits.max - max(totals.stored)
