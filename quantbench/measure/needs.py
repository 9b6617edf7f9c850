"""What backends have in common of what work takes (`protocols/needs.py`): a backend derives."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from quantbench.measure.rates import rate_in

if TYPE_CHECKING:
    from pathlib import Path

    from quantbench.protocols import Rate
    from quantbench.study import Scheme, Weights


class Rated:
    """Rates by a file, and no architecture.

    Attributes:
        rates: the backend's own `rates.json`.
    """

    rates: ClassVar[Path]

    def weights(self, architecture: str) -> Weights | None:
        """None: no importer of the backend makes an architecture's weights."""
        del architecture
        return None

    def rate(self, step: str, scheme: Scheme) -> Rate | None:
        """As measured: of the scheme, else of its quantizer, else of all."""
        named = (f"{step} {scheme.unseeded}", f"{step} {scheme.quantizer}", step)
        return rate_in(self.rates, *named)


class GraphNeeds(Rated):
    """Of a runtime whose artifact is a graph with its weights.

    Attributes:
        graph_bytes: ops, names, scales and biases, which few weights have beside them.
    """

    graph_bytes: ClassVar[int]

    def artifact_bytes(self, scheme: Scheme, weights: Weights) -> float | None:
        """A graph, and each weight in the scheme's type; as shipped, the files as they came."""
        if scheme.weights == "as shipped":
            return weights.stored_bytes
        return self.graph_bytes + weights.bytes_at(scheme.bits)
