"""Words that go with numbers."""

from __future__ import annotations


def plural(n: int, word: str) -> str:
    """The number and its noun: "1 sample", "2 samples", "0 samples"."""
    return f"{n} {word}" if n == 1 else f"{n} {word}s"
