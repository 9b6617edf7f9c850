"""Words that a study may use."""

from __future__ import annotations

from typing import Literal

Outcome = Literal["pass", "fail", "inconclusive"]
Expected = Literal["pass", "fail", "error"]

UNTRAINED = "random weights"  # in place of a verdict
