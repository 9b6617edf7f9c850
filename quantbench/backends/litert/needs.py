"""What work under LiteRT takes: bytes by its formats, the rest as `rates.json` has it."""

from __future__ import annotations

from pathlib import Path

from quantbench.backends.litert.importers.architectures import ARCHITECTURES
from quantbench.measure.needs import GraphNeeds
from quantbench.measure.rates import FILE
from quantbench.study import Weights


class LiteRTNeeds(GraphNeeds):
    """`protocols/needs.py`, of LiteRT."""

    rates = Path(__file__).with_name(FILE)
    graph_bytes = 20_000

    def weights(self, architecture: str) -> Weights | None:
        """As many as the published network has."""
        shape = ARCHITECTURES.get(architecture)
        return Weights(shape.parameters) if shape is not None and shape.parameters else None
