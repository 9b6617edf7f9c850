"""Where the time of one inference goes: what every backend's profile says, in one form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True)
class OpTime:
    """One op of an opened model.

    Attributes:
        place: in the order of execution, from 0.
        kind: the runtime's word for what it does, e.g. `CONV_2D` or `Conv`.
        name: of its own.
        ns: of one inference, the median over rounds.
        kernel: whose kernel ran it, e.g. "XNNPACK".
        converts: it changes how values are stored or arranged and computes nothing: a
            quantization, a dequantization, a transposition, a layout that a kernel asks for.
    """

    place: int
    kind: str
    name: str
    ns: float
    kernel: str = ""
    converts: bool = False


@dataclass(frozen=True, kw_only=True)
class Work:
    """What one inference must do at least, for the roofline.

    Attributes:
        read_bytes: of weights and cache that are read from memory once.
        operations: multiplications and additions.
    """

    read_bytes: int
    operations: int


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The time of one inference, whole and by op.

    Attributes:
        what: was run: "one inference", "one token after a prompt of 80". Profiles of two models
            are laid side by side where they ran the same.
        whole_ns: of the inference without any profiler, the median over rounds.
        ops: in the order of execution.
        method: how the times of ops were found, and what they leave out, for people.
        threads: that computed.
        partitions: that a delegate was cut into; None where there is no delegate.
        delegate: the kernels that take the model over; an op by another kernel fell back.
        work: what it must do at least; None where nobody knows.
        remarks: what the runtime's own code says about the time of ops, by their kind: "its
            kernel unpacks 2-bit weights to float at each call".
    """

    what: str
    whole_ns: float
    ops: tuple[OpTime, ...]
    method: str
    threads: int
    partitions: int | None = None
    delegate: str = ""
    work: Work | None = None
    remarks: Mapping[str, str] | None = None

    @property
    def covered(self) -> float:
        """The sum of the ops in shares of the whole: 1 where the parts add up to it."""
        return sum(op.ns for op in self.ops) / self.whole_ns
