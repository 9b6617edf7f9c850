"""Many numbers in a JSON text: base64 of little-endian arrays, a fifth to a third of a list."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TYPES = {"int32": "<i4", "float32": "<f4"}


def pack(values: Any, kind: Literal["int32", "float32"]) -> str:
    """Numbers of any shape as text, in the order of their last axis."""
    return base64.b64encode(np.asarray(values, dtype=_TYPES[kind]).tobytes()).decode("ascii")


def unpack(text: str, kind: Literal["int32", "float32"]) -> NDArray[Any]:
    """Its numbers, [n]: int32, or float64 that hold float32.

    Raises:
        ValueError: it is no such text.
    """
    # Strictly, and without the regular expression that base64.b64decode checks by.
    found = np.frombuffer(binascii.a2b_base64(text, strict_mode=True), dtype=_TYPES[kind])
    return found.astype(np.int32 if kind == "int32" else np.float64)
