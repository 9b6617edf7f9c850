"""Deaths, full disks and wrong clocks, as many rounds as QUANTBENCH_KILLS says (default 12)."""

from __future__ import annotations

import os
from pathlib import Path

from tests.plugin.conftest import study

__all__ = ["KILLS", "ROOT", "study"]

KILLS = int(os.environ.get("QUANTBENCH_KILLS", "12"))
ROOT = Path(__file__).parents[2]
