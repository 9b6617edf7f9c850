"""What constants and scales of a graph are convicted of, whatever its format.

Weights are in dB of noise that a cause stands for; without a measurement they only rank causes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.diagnosis.findings import Finding
from quantbench.measure.processor import int8_saturates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from quantbench.diagnosis.wiring import Tensor, WiredOp

CAUSE, FATAL, GRAVE, COSTLY, WORTH_KNOWING = 130.0, 120.0, 100.0, 20.0, 1.0
BEYOND_REASON = 1e30  # no scale holds it beside real values
_WIDEST, _NARROWEST = 1e6, 1e-7  # a step of a tensor that still says something
_UNLIKE = 8.0  # times as wide: 3 of 8 bits are lost to the narrower part


def infinite_constant(op: WiredOp[Tensor], values: NDArray[Any], remedy: str) -> Finding | None:
    """A float constant with values that no scale holds."""
    beyond = ~(np.abs(values.astype(np.float64)) < BEYOND_REASON)
    if not (n := int(beyond.sum())):
        return None
    worst = float(values[beyond].ravel()[0])
    return Finding(
        cause="infinite constant",
        ops=(op.name,),
        place=op.index,
        text=f"{op.kind} reads a constant of {worst:g} ({n} of {values.size} values): "
        "no scale holds it beside real values",
        numbers={"values": n, "of": values.size},
        remedy=remedy,
        weight=CAUSE,
    )


def odd_scale(op: WiredOp[Tensor], place: int, scale: float) -> Finding | None:
    """A step of an op's output that says nothing any more."""
    if not scale < _WIDEST:
        cause, weight = "scale beyond reason", FATAL
        text = f"one step of its output is {scale:.3g}"
    elif scale < _NARROWEST:
        cause, weight = "range near zero", WORTH_KNOWING
        text = (
            f"its output was given a range of {255 * scale:.1e}: calibration saw nothing "
            "there, or it is always zero"
        )
    else:
        return None
    return Finding(
        cause=cause,
        ops=(op.name,),
        place=place,
        text=f"{op.kind}: {text}",
        numbers={"scale": scale if np.isfinite(scale) else -1.0},
        remedy="look at what is padded or summed before it; a floor under ranges, or float",
        weight=weight,
    )


def stuck_biases(
    op: WiredOp[Tensor], place: int, values: NDArray[Any], remedy: str
) -> Finding | None:
    """Quantized biases at the limit of an int32."""
    limits = np.iinfo(np.int32)
    stuck = int(((values == limits.min) | (values == limits.max)).sum())
    if not stuck:
        return None
    return Finding(
        cause="bias at the limit of int32",
        ops=(op.name,),
        place=place,
        text=f"{stuck} of {values.size} biases of this {op.kind} are stored as the limit "
        "of an int32: they overflowed",
        numbers={"channels": stuck, "of": int(values.size)},
        remedy=remedy,
        weight=FATAL,
    )


def shared_scale(
    op: WiredOp[Tensor], place: int, scale: float, parts: Sequence[float]
) -> Finding | None:
    """One scale for parts of unlike range: what a detector's head that joins boxes, scores has.

    Args:
        op: that joins them (a concatenation).
        place: of it in the float graph.
        scale: real value of one step of what it writes.
        parts: the same of each of what it reads.
    """
    narrowest = min((part for part in parts if part > 0), default=0.0)
    if not narrowest or not scale > _UNLIKE * narrowest:
        return None
    times = scale / narrowest
    return Finding(
        cause="one scale for unlike parts",
        ops=(op.name,),
        place=place,
        text=f"{op.kind}: its output has steps of {scale:.3g}, one of its parts needs "
        f"{narrowest:.3g}: joined, that part keeps {max(255 / times, 0):.0f} of 255 levels",
        numbers={"times": round(times, 2)},
        remedy="leave the joining op and what follows in float, or export the parts as outputs of "
        "their own",
        weight=COSTLY + 6.02 * float(np.log2(times)),
    )


def saturating_processor(setting: str) -> Finding | None:
    """This processor, where its int8 products saturate (`measure/processor.py`).

    Args:
        setting: of the runtime that helps.
    """
    if not int8_saturates():
        return None
    return Finding(
        cause="int8 products saturate here",
        ops=(),
        place=0,
        text="this processor has no VNNI: sums of two products of 8-bit values are cut off at 16 "
        "bits, and answers differ from those of other machines",
        numbers={},
        remedy=setting,
        weight=COSTLY,
    )
