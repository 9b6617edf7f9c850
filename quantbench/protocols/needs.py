"""What a backend may say of disk, memory and time before anything is fetched or built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from quantbench.study import Scheme
    from quantbench.study.weights import Weights

PREDICT = "predict"


@dataclass(frozen=True, kw_only=True)
class Rate:
    """What a step took where it was measured, as a straight line.

    Attributes:
        fixed_s: seconds, whatever the model: frameworks loaded, files written.
        unit_s: seconds a unit of work (`run/planning/work.py`), at least 0.
        base_bytes: resident set of the process with its frameworks.
        parameter_bytes: that a weight takes beside, at the step's peak.
        written_bytes: that an importer writes a weight; None where it is not said.
        measured: machine and command, in words.
    """

    fixed_s: float = 0.0
    unit_s: float = 0.0
    base_bytes: float = 0.0
    parameter_bytes: float = 0.0
    written_bytes: float | None = None
    measured: str = ""


class Needs(Protocol):
    """What work on models takes under a backend, computed and not tried."""

    def artifact_bytes(self, scheme: Scheme, weights: Weights) -> float | None:
        """Of the files that the scheme's quantizer writes; None where it cannot be told.

        More bits a weight never give fewer bytes.
        """

    def rate(self, step: str, scheme: Scheme) -> Rate | None:
        """Of a step: an importer's or a quantizer's name, or `PREDICT`; None where none is known."""
