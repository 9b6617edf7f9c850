"""What a language model is fed."""

from __future__ import annotations

from dataclasses import dataclass

TOP = 64  # likeliest tokens that a runner tells of each target position


@dataclass(frozen=True)
class Prompt:
    """A tokenized text: `tokens[target_start:]` is what is to be predicted.

    Attributes:
        text: whose tokens, from number `first` on, these are; "" where nobody says.
        first: number of the first token in the text's.
    """

    tokens: tuple[int, ...]
    target_start: int
    text: str = ""
    first: int = 0
