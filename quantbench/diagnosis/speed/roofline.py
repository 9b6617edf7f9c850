"""How near an inference is to what the machine can do: memory and arithmetic.

Williams, Waterman and Patterson, "Roofline: An Insightful Visual Performance Model", CACM 52(4),
2009: no inference is faster than its bytes over the bandwidth, or its operations over the peak.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantbench.protocols import Profile

_BOUND = 0.6  # share of an inference's time that one limit explains
_FAR = 0.3


@dataclass(frozen=True)
class Peaks:
    """Measured on this machine, with the same threads as the inference.

    Attributes:
        bytes_per_s: read from memory.
        operations_per_s: of a large product of matrices.
        arithmetic: the type of that product.
    """

    bytes_per_s: float
    operations_per_s: float
    arithmetic: str


@dataclass(frozen=True)
class Limits:
    """The two lower bounds of an inference's time, and its time.

    Attributes:
        read_bytes: that it must read.
        operations: that it must do.
        memory_ns: what reading takes at the machine's bandwidth.
        arithmetic_ns: what computing takes at its peak.
        whole_ns: what the inference took.
        peaks: that were measured.
    """

    read_bytes: int
    operations: int
    memory_ns: float
    arithmetic_ns: float
    whole_ns: float
    peaks: Peaks

    @property
    def text(self) -> str:
        """One sentence."""
        whole, memory = self.whole_ns / 1e6, self.memory_ns / 1e6
        arithmetic = self.arithmetic_ns / 1e6
        read = (
            f"{self.read_bytes / 1e6:.0f} MB at {self.peaks.bytes_per_s / 1e9:.1f} GB/s is "
            f"{memory:.1f} of {whole:.1f} ms"
        )
        computed = (
            f"{self.operations / 1e9:.2f} G operations at "
            f"{self.peaks.operations_per_s / 1e9:.0f} G/s ({self.peaks.arithmetic}) is "
            f"{arithmetic:.1f} of {whole:.1f} ms"
        )
        if memory > whole:
            return f"its weights fit a cache: {read}, were they read from memory"
        if memory >= max(arithmetic, _BOUND * whole):
            return f"memory-bound: {read}"
        if arithmetic >= _BOUND * whole:
            return f"bound by arithmetic: {computed}"
        near = max(memory, arithmetic) >= _FAR * whole
        bound = "no limit explains it alone" if near else "far from both limits"
        return f"{bound}: {read}, {computed}"

    def as_json(self) -> dict[str, Any]:
        """Times in milliseconds."""
        return {
            "read_bytes": self.read_bytes,
            "operations": self.operations,
            "memory_ms": round(self.memory_ns / 1e6, 3),
            "arithmetic_ms": round(self.arithmetic_ns / 1e6, 3),
            "bytes_per_s": round(self.peaks.bytes_per_s),
            "operations_per_s": round(self.peaks.operations_per_s),
            "arithmetic": self.peaks.arithmetic,
            "text": self.text,
        }


def limits_of(profile: Profile, peaks: Peaks | None) -> Limits | None:
    """The bounds of a profile whose work is known."""
    work = profile.work
    if work is None or peaks is None:
        return None
    return Limits(
        work.read_bytes,
        work.operations,
        1e9 * work.read_bytes / peaks.bytes_per_s,
        1e9 * work.operations / peaks.operations_per_s,
        profile.whole_ns,
        peaks,
    )
