"""Signal to noise."""

from __future__ import annotations

import numpy as np

SILENT_DB = 120.0  # of tensors that agree to float32's own rounding


def decibels(signal: float, noise: float) -> float:
    """10 log10(signal / noise), between -120 and 120."""
    if not np.isfinite(noise):
        return -SILENT_DB
    tiny = 10 ** (-SILENT_DB / 10)
    return float(10 * np.log10(min(max(signal, 1e-30) / max(noise, 1e-30), 1 / tiny)))
