"""What work under ONNX Runtime takes: bytes by its formats, the rest as `rates.json` has it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from quantbench.measure.rates import FILE, rate_in

if TYPE_CHECKING:
    from quantbench.protocols import Rate
    from quantbench.study import Scheme, Weights

_RATES = Path(__file__).with_name(FILE)
_GRAPH_BYTES = 30_000  # ops, names, scales and biases, which few weights have beside them


class OnnxRuntimeNeeds:
    """`protocols/needs.py`, of ONNX Runtime."""

    def weights(self, architecture: str) -> Weights | None:
        """No importer here makes an architecture's weights."""
        del architecture
        return None

    def artifact_bytes(self, scheme: Scheme, weights: Weights) -> float | None:
        """A graph, and each weight in the scheme's type; as shipped, the files as they came."""
        if scheme.weights == "as shipped":
            return weights.stored_bytes
        return _GRAPH_BYTES + weights.bytes_at(scheme.bits)

    def rate(self, step: str, scheme: Scheme) -> Rate | None:
        """As measured: of the scheme, else of its quantizer, else of all."""
        named = (f"{step} {scheme.unseeded}", f"{step} {scheme.quantizer}", step)
        return rate_in(_RATES, *named)
