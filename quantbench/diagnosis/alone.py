"""One op quantized alone: what it costs the outputs when everything else stays in float."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from quantbench.diagnosis.decibels import decibels
from quantbench.errors import BuildError, PredictionError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from quantbench.diagnosis.opened import OpenModel
    from quantbench.diagnosis.wiring import Tensor, WiredOp


class Outputs:
    """A model's answers to a few samples, to measure others against."""

    def __init__(
        self, open_model: OpenModel, content: bytes, samples: Sequence[NDArray[np.float32]]
    ) -> None:
        """Run the float model.

        Raises:
            PredictionError: it cannot be run.
        """
        self._open_model, self._samples = open_model, samples
        self._meant = self._answers(content)

    def _answers(self, content: bytes) -> list[dict[str, NDArray[np.float32]]]:
        with self._open_model(content) as model:
            return [
                {name: values.copy() for name, values in model(sample).items()}
                for sample in self._samples
            ]

    def snr_db(self, content: bytes) -> dict[str, float]:
        """Signal to noise of each output of another model, in dB."""
        said = self._answers(content)
        return {
            name: decibels(
                sum(float((meant[name].astype(np.float64) ** 2).sum()) for meant in self._meant),
                sum(
                    float(((other[name].astype(np.float64) - meant[name]) ** 2).sum())
                    for other, meant in zip(said, self._meant, strict=True)
                ),
            )
            for name in self._meant[0]
        }


def each_alone(
    ops: Sequence[WiredOp[Tensor]],
    build: Callable[[Sequence[str]], bytes],
    outputs: Outputs,
    advance: Callable[[int], None] | None = None,
) -> dict[str, dict[str, float]]:
    """Of each op that can be quantized, the outputs' signal to noise with it alone in int8.

    Args:
        ops: of the float graph.
        build: the quantized model's content, with the named ops left in float; raises BuildError
            where the tool has no integer form of the one that is left.
        outputs: of the float graph.
        advance: is called with 1 after each op.
    """
    found = {}
    for op in ops:
        with suppress(BuildError, PredictionError):  # no integer form, or no kernel for it
            found[op.name] = outputs.snr_db(build([o.name for o in ops if o.index != op.index]))
        if advance:
            advance(1)
    return found
