"""What work under OpenVINO takes: bytes by its formats, the rest as `rates.json` has it."""

from __future__ import annotations

from pathlib import Path

from quantbench.measure.needs import GraphNeeds
from quantbench.measure.rates import FILE


class OpenVinoNeeds(GraphNeeds):
    """`protocols/needs.py`, of OpenVINO."""

    rates = Path(__file__).with_name(FILE)
    graph_bytes = 200_000
