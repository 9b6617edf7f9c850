"""What a language model is fed."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING

from quantbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quantbench.protocols import Row

TOP = 64  # likeliest tokens that a runner tells of each target position


@dataclass(frozen=True)
class Prompt:
    """A tokenized text: `tokens[target_start:]` is what is to be predicted.

    Attributes:
        tokens: what is fed, and what is predicted last.
        target_start: where the target begins.
        text: the text that was tokenized; it may be far longer than the tokens.
        first: number of the first of `tokens` among those of the text, counted from 0 with those
            that the tokenizer adds in front. Where it adds a token in front (BOS), that one
            stands at the front of `tokens` too, in the place of the text's own.
    """

    tokens: tuple[int, ...]
    target_start: int
    text: str = field(default="", repr=False)
    first: int = 0


def check_same_tokens(rows: Sequence[Row], reference: Sequence[Row]) -> None:
    """Refuse to compare answers to different tokens; rows without `tokens` pass.

    Raises:
        DataError: a sample was fed as other tokens to the model than to its reference.
    """
    for row, was in zip(rows, reference, strict=True):
        mine, theirs = row.get("tokens"), was.get("tokens")
        if mine is None or theirs is None or mine == theirs:
            continue
        place = next(i for i, (a, b) in enumerate(zip_longest(mine, theirs)) if a != b)
        raise DataError(
            "a sample has other tokens for the model than for its reference",
            where=f"{row['id']}, token {place} of {len(mine)} and of {len(theirs)}",
            expected=f"the reference's tokens, from there {_shown(theirs, place)}",
            got=_shown(mine, place),
            remedy="give both the same tokenizer files: log-probabilities of other tokens cannot "
            "be compared",
        )


def _shown(tokens: Sequence[int], place: int) -> str:
    ids = ", ".join(map(str, tokens[place : place + 5]))
    return f"ids {ids}" if ids else "no more ids"
