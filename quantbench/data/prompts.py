"""What a language model is fed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Prompt:
    """A tokenized passage: `tokens[target_start:]` is the word to predict."""

    tokens: tuple[int, ...]
    target_start: int
