"""Rates that were measured on a machine with a name, and are shipped in a file.

{"measured": {"machine": "...", "command": "..."},
 "steps": {"NAME": {"fixed_s": 1.5, "parameter_s": 2e-9, "base_bytes": 1e9, ...}}}
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from quantbench.protocols import Rate

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILE = "rates.json"


def rate_in(path: Path, *steps: str) -> Rate | None:
    """The rate of the first of these steps that the file has; None where it has none."""
    known = _read(path)
    return next((known[step] for step in steps if step in known), None)


@cache
def _read(path: Path) -> Mapping[str, Rate]:
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    machine = told["measured"]["machine"]
    return {name: Rate(**fields, measured=machine) for name, fields in told["steps"].items()}
