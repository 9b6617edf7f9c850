"""JSON from outside."""

from __future__ import annotations

import json
import sys
from typing import Any

# What a value of the wrong kind raises where it is read.
MALFORMED = (
    *(LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError),
)
_DEPTH = 3000  # frames, those of the caller included: the interpreter's own stack holds far more


def loads(text: str | bytes, **hooks: Any) -> Any:
    """`json.loads`, with the depth that a text may nest bounded.

    Frameworks raise the interpreter's limit for themselves, and a hostile text of brackets then
    ends the process instead of raising.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is nested too deeply.
    """
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(min(limit, _DEPTH))
    try:
        return json.loads(text, **hooks)
    finally:
        sys.setrecursionlimit(limit)
