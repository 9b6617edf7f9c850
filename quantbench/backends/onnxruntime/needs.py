"""What work under ONNX Runtime takes: bytes by its formats, the rest as `rates.json` has it."""

from __future__ import annotations

from pathlib import Path

from quantbench.measure.needs import GraphNeeds
from quantbench.measure.rates import FILE


class OnnxRuntimeNeeds(GraphNeeds):
    """`protocols/needs.py`, of ONNX Runtime."""

    rates = Path(__file__).with_name(FILE)
    graph_bytes = 30_000
