"""What values each tensor of a graph takes on calibration samples, and the range to quantize it in.

Ranges are closed intervals that hold 0, [low, high], which an asymmetric 8-bit tensor cuts into
255 steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from quantbench.diagnosis.wiring import Tensor, Wiring

Range = tuple[float, float]
_BINS = 2048
_STEPS = 255
_NARROWINGS = np.geomspace(0.05, 1, 24)  # of each end, that the least squared error is sought among


@dataclass(frozen=True)
class Seen:
    """The values of one tensor over all samples.

    Attributes:
        low: the least, per sample [n].
        high: the largest, per sample [n].
        counts: of values in 2,048 equal bins between the least and the largest of all.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    counts: NDArray[np.int64]

    @property
    def whole(self) -> Range:
        """From the least to the largest, with 0."""
        return min(float(self.low.min()), 0.0), max(float(self.high.max()), 0.0)

    @property
    def centres(self) -> NDArray[np.float64]:
        """The middle of each bin."""
        low, high = float(self.low.min()), float(self.high.max())
        return low + (np.arange(len(self.counts)) + 0.5) * (high - low) / len(self.counts)


def observe(
    trace: Callable[[NDArray[np.float32]], Iterable[tuple[Tensor, NDArray[np.float32]]]],
    samples: Sequence[NDArray[np.float32]],
    advance: Callable[[int], None] | None = None,
) -> dict[Tensor, Seen]:
    """Run a float model on every sample, twice: for the ends, then for the counts between them.

    Args:
        trace: one inference, to the values of each tensor that is observed.
        samples: prepared for it.
        advance: is called with 1 after each run.
    """
    ends: dict[Tensor, list[Range]] = {}
    for sample in samples:
        for tensor, values in trace(sample):
            ends.setdefault(tensor, []).append((float(values.min()), float(values.max())))
        if advance:
            advance(1)
    whole = {t: (min(a for a, _ in e), max(b for _, b in e)) for t, e in ends.items()}
    counts = {tensor: np.zeros(_BINS, np.int64) for tensor in ends}
    for sample in samples:
        for tensor, values in trace(sample):
            counts[tensor] += _counted(values, *whole[tensor])
        if advance:
            advance(1)
    return {
        tensor: Seen(
            np.array([low for low, _ in each]), np.array([high for _, high in each]), counts[tensor]
        )
        for tensor, each in ends.items()
    }


def _counted(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.int64]:
    if high <= low:
        return np.zeros(_BINS, np.int64)
    bins = ((values.ravel() - np.float32(low)) * np.float32(_BINS / (high - low))).astype(np.int32)
    return np.bincount(np.clip(bins, 0, _BINS - 1, out=bins), minlength=_BINS)


def whole(seen: Seen) -> Range:
    """Minimum and maximum of all samples (Jacob et al., 2018)."""
    return seen.whole


def averaged(seen: Seen) -> Range:
    """Mean over samples of the minimum and of the maximum."""
    return min(float(seen.low.mean()), 0.0), max(float(seen.high.mean()), 0.0)


def percentile(share: float) -> Callable[[Seen], Range]:
    """The middle share of all values, e.g. .999."""

    def chosen(seen: Seen) -> Range:
        total = seen.counts.sum()
        if not total:
            return seen.whole
        below = np.cumsum(seen.counts) / total
        low, high = float(seen.low.min()), float(seen.high.max())
        width = (high - low) / len(seen.counts)
        first = np.searchsorted(below, (1 - share) / 2)
        last = np.searchsorted(below, (1 + share) / 2) + 1
        return min(low + width * float(first), 0.0), max(low + width * float(last), 0.0)

    return chosen


def least_squares(seen: Seen) -> Range:
    """The range whose rounding and clipping together have the least squared error."""
    if not seen.counts.sum():
        return seen.whole
    low, high = seen.whole
    values = seen.centres
    lows = low * _NARROWINGS if low < 0 else np.zeros(1)
    ends = [(a, b) for a in lows for b in high * _NARROWINGS if b > a]
    errors = [float((seen.counts * (values - rounded(values, end)) ** 2).sum()) for end in ends]
    return ends[int(np.argmin(errors))] if ends else seen.whole


RULES: Mapping[str, Callable[[Seen], Range]] = {
    "minimum and maximum": whole,
    "mean minimum and maximum": averaged,
    "99.99 %": percentile(0.9999),
    "99.95 %": percentile(0.9995),
    "99.9 %": percentile(0.999),
    "least squares": least_squares,
}


def grid(within: Range) -> tuple[float, int]:
    """Step of an 8-bit tensor of this range, and which of 0 to 255 stands for 0."""
    low, high = within
    step = (high - low) / _STEPS
    return step, round(-low / step)


def rounded(values: NDArray[Any], within: Range) -> NDArray[np.float64]:
    """Values as an 8-bit tensor of this range gives them back."""
    step, zero = grid(within)
    stored = np.clip(np.rint(values / step) + zero, 0, _STEPS)
    return np.asarray((stored - zero) * step, np.float64)


def visible(
    wiring: Wiring[Tensor], ranges: Mapping[str, Range], visible_from: Mapping[str, float]
) -> dict[str, Range]:
    """The ranges without what no reader of a tensor can see, such as hard-swish below -3.

    Args:
        wiring: of the graph.
        ranges: of its tensors, by name.
        visible_from: of each kind of op that sees no difference below some value, that value.
    """
    found = dict(ranges)
    for op in wiring.ops:
        for tensor in op.outputs:
            name = wiring.name(tensor)
            kinds = {reader.kind for reader in wiring.readers(tensor)}
            if name not in found or not kinds or tensor in wiring.outputs:
                continue
            if kinds <= set(visible_from):
                low, high = found[name]
                found[name] = max(low, min(visible_from[kind] for kind in kinds)), high
    return found
