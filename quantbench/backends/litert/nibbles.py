"""Integers of four bits, two to a byte, the first in the lower half."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def unpacked(content: NDArray[np.uint8], count: int) -> NDArray[np.int8]:
    """The first `count` integers, each in -8 to 7."""
    halves = np.stack([content & 15, content >> 4], axis=-1).ravel()[:count].astype(np.int8)
    return np.where(halves > 7, halves - 16, halves).astype(np.int8)  # noqa: PLR2004 - the largest


def packed(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Integers in -8 to 7 as bytes; the last half byte is 0 where their number is odd."""
    halves = (np.ravel(values).astype(np.int16) & 15).astype(np.uint8)
    halves = np.append(halves, np.zeros(len(halves) % 2, np.uint8))
    return np.asarray(halves[0::2] | halves[1::2] << 4, dtype=np.uint8)
