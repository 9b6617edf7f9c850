"""What a backend or a task may say of disk, memory and time before anything is fetched or built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from quantbench.study import Scheme, Weights

PREDICT, LOADED = "predict", "loaded"  # steps of a backend besides its importers and quantizers


@dataclass(frozen=True, kw_only=True)
class Rate:
    """What a step took where it was measured, as a straight line in each quantity.

    Attributes:
        fixed_s: seconds, whatever the model: frameworks loaded, files written.
        parameter_s: seconds a weight.
        sample_s: seconds a weight, sample and unit of its size (a pixel, a token).
        unit_s: seconds a sample and unit of its size, whatever the model.
        each_s: seconds a sample, whatever the model and its size.
        base_bytes: resident set of the process with its frameworks, at the step's peak.
        parameter_bytes: that a weight takes beside.
        written_bytes: that an importer writes a weight; a task's row, a sample; None where it is
            not said.
        measured: the machine, in words.
    """

    fixed_s: float = 0.0
    parameter_s: float = 0.0
    sample_s: float = 0.0
    unit_s: float = 0.0
    each_s: float = 0.0
    base_bytes: float = 0.0
    parameter_bytes: float = 0.0
    written_bytes: float | None = None
    measured: str = ""

    def seconds(self, parameters: float, samples: float = 0, size: float = 1) -> float:
        """Of a model of so many weights, on samples of a size in pixels or tokens."""
        more = (self.sample_s * parameters + self.unit_s) * size + self.each_s
        return self.fixed_s + self.parameter_s * parameters + more * samples

    def peak_bytes(self, parameters: float) -> float:
        """The resident set of a process that does nothing else, at its highest."""
        return self.base_bytes + self.parameter_bytes * parameters


class Needs(Protocol):
    """What work on models takes under a backend, computed and not tried."""

    def weights(self, architecture: str) -> Weights | None:
        """Of an architecture that an importer of the backend knows; None of any other."""

    def artifact_bytes(self, scheme: Scheme, weights: Weights) -> float | None:
        """Of the files that the scheme's quantizer writes; None where it cannot be told.

        `weights.stored_bits` is of the float model that the quantizer starts from. More bits a
        weight never give fewer bytes.
        """

    def rate(self, step: str, scheme: Scheme) -> Rate | None:
        """Of a step; None where none was measured.

        Args:
            step: an importer's or quantizer's name; `PREDICT`; or `LOADED`, whose `base_bytes` its
                libraries keep when other work goes on in the same process.
            scheme: of the case that it is done for.
        """
