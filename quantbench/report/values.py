"""Values of a record, checked before anything shows them."""

from __future__ import annotations

import math
from typing import Any

_MOST = 2**53


def number(value: Any) -> float | None:
    """A finite number, or None; raises what `views_of` explains, as the others do."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{str(value)[:40]!r} is no number")
    return float(value)


def whole(value: Any) -> int | None:
    """A count. What is beyond what a double counts exactly was never counted."""
    found = number(value)
    if found is not None and abs(found) > _MOST:
        raise ValueError(f"{str(value)[:40]!r} is no count")
    return None if found is None else int(found)


def text(value: Any) -> str:
    """A text that can be written."""
    if not isinstance(value, str):
        raise TypeError(f"{str(value)[:40]!r} is no text")
    value.encode()  # half a surrogate pair cannot be written anywhere
    return value
