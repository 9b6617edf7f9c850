"""Samples on which a quantized model departs furthest from its float model, for people to see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def most_changed(change: NDArray[Any], most: int) -> list[int]:
    """Indices of the largest changes, largest first; what did not change is left out."""
    order = np.argsort(-change, kind="stable")[:most]
    return [int(i) for i in order if change[i] > 0]
