"""Quantization noise: what a graph computes in integers beside what it computes in float."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from quantbench.diagnosis.decibels import SILENT_DB, decibels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from quantbench.diagnosis.wiring import Tensor, Wiring

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


class Stored(NamedTuple):
    """A tensor of a quantized graph as it is stored.

    Attributes:
        values: whole numbers.
        scale: real value of one step.
        zero_point: the whole number that stands for 0.
        limits: the least and the largest whole number that it can hold.
    """

    values: NDArray[Any]
    scale: float
    zero_point: int
    limits: tuple[int, int]


class TensorSums:
    """Sums over samples that a tensor's numbers are made of."""

    def __init__(self) -> None:
        self._n = self._signal = self._noise = self._total = 0.0
        self._below = self._above = 0.0  # float values that the tensor cannot hold
        self._stored: set[int] = set()
        self._scale, self._limits = 0.0, (0, 0)

    def add(
        self, values: NDArray[np.float32], said: NDArray[np.float32], stored: Stored | None = None
    ) -> None:
        """One sample.

        Args:
            values: of the float graph.
            said: by the quantized graph, as real values of the same shape.
            stored: the same as whole numbers; None where the tensor is in float.
        """
        x, error = values.astype(np.float64), said.astype(np.float64) - values
        self._n += x.size
        self._total += float(x.sum())
        self._signal += float((x**2).sum())
        self._noise += float((error**2).sum())
        if stored is None:
            return
        self._scale, self._limits = stored.scale, stored.limits
        least, most = stored.limits
        # Half a step beyond the end still rounds to it.
        low, high = ((end - stored.zero_point) * stored.scale for end in (least - 0.5, most + 0.5))
        self._below += float((x < low).sum())
        self._above += float((x > high).sum())
        self._stored.update(np.unique(stored.values).tolist())

    @property
    def empty(self) -> bool:
        """Whether no sample had a value."""
        return not self._n

    @property
    def snr_db(self) -> float:
        """Signal to quantization noise."""
        return decibels(self._signal, self._noise)

    @property
    def levels(self) -> float:
        """Standard deviation of the float values in steps of the scale; 0 without one."""
        if not (self._stored and self._scale > 0 and np.isfinite(self._scale)):
            return 0.0
        return self._deviation / self._scale

    @property
    def clipped(self) -> float:
        """Share of float values outside of what the tensor can hold."""
        return (self._below + self._above) / self._n

    @property
    def spare(self) -> int:
        """Whole numbers that are never stored at the end where nothing is clipped."""
        if not self._stored or (self._below and self._above):
            return 0
        least, most = self._limits
        return min(self._stored) - least if self._above else most - max(self._stored)

    @property
    def distinct(self) -> int:
        """Different whole numbers that were stored; 0 in float."""
        return len(self._stored)

    @property
    def _deviation(self) -> float:
        return float(np.sqrt(max(self._signal / self._n - (self._total / self._n) ** 2, 0.0)))


def in_order(wiring: Wiring[Tensor], sums: Mapping[Tensor, TensorSums]) -> list[TensorNoise]:
    """The tensors that both graphs have, in the order the float graph writes them.

    Args:
        wiring: of the float graph.
        sums: of its tensors; one without any is taken to be as noisy as what its op reads.
    """
    found, snr = [], dict.fromkeys(wiring.inputs, SILENT_DB)
    for op in wiring.ops:
        before = min((snr[t] for t in op.inputs if t in snr), default=SILENT_DB)
        for tensor in op.outputs:
            totals = sums.get(tensor)
            if totals is None or totals.empty:
                snr[tensor] = before
                continue
            snr[tensor] = totals.snr_db
            found.append(
                TensorNoise(
                    place=op.index,
                    op=op.name,
                    kind=op.kind,
                    snr_db=totals.snr_db,
                    source_snr_db=before,
                    levels=totals.levels,
                    clipped=totals.clipped,
                    spare=totals.spare,
                    distinct=totals.distinct,
                )
            )
    return found
