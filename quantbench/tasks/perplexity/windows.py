"""Documents in a row, cut into windows of tokens."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from quantbench.data.samples import content_digest
from quantbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quantbench.data.documents import Document
    from quantbench.data.tokenizers import Tokenizer


@dataclass(frozen=True)
class Window:
    """Consecutive tokens of a text, of which the last ones are scored.

    Attributes:
        tokens: what is fed; where the tokenizer begins a text with a token of its own (BOS), that
            one stands in the place of the first.
        target_start: where the scored tokens begin.
        first: number of the first token in the text's.
        whole: the text that the window is cut from.
        places: where the window, its scored tokens, and the text behind them begin, in characters.
        group: of the document in which the scored tokens begin.
    """

    id: str
    tokens: tuple[int, ...] = field(repr=False)
    target_start: int
    first: int
    whole: str = field(repr=False, compare=False)
    places: tuple[int, int, int]
    group: str | None = None

    @property
    def text(self) -> str:
        """Of its tokens."""
        return self.whole[self.places[0] : self.places[2]]

    @property
    def scored_bytes(self) -> int:
        """Of the scored tokens' text, in UTF-8."""
        return len(self.whole[self.places[1] : self.places[2]].encode())

    @cached_property
    def digest(self) -> str:
        """Of letters and digits alone, as a `Passage`'s."""
        return content_digest(self.text)

    @cached_property
    def fingerprint(self) -> str:
        """Of the tokens, and of where those that are scored begin."""
        numbers = np.array([*self.tokens, self.target_start], "<i4")
        return hashlib.sha256(numbers.tobytes()).hexdigest()


def windows(documents: Sequence[Document], tokenizer: Tokenizer, n: int | None) -> list[Window]:
    """The first `n` (None: all) windows of the documents in a row.

    Window i holds the tokens from number i * stride on, as many as the context has; a last one
    that is not full is left out.

    Raises:
        DataError: the text is too short for one, or the model's context for a whole one.
    """
    cut = documents[0].cut
    if cut.context > tokenizer.context:
        raise DataError(
            "a window is longer than the model's context",
            where=cut.name,
            expected=f"at most {tokenizer.context:,} tokens",
            got=f"{cut.context:,} tokens",
            remedy="describe the data set with a smaller one: Documents(context=...)",
        )
    whole, starts = in_a_row(documents)
    ids, spans, added = tokenizer.encode(whole)
    found: list[Window] = []
    for first in range(0, len(ids) - cut.context + 1, cut.stride):
        if len(found) == n:
            break
        stop = first + cut.context
        target = stop - cut.scored
        found.append(
            Window(
                id=f"{cut.name}-{len(found):05d}",
                tokens=(*ids[:added], *ids[first + added : stop]),
                target_start=cut.context - cut.scored,
                first=first,
                whole=whole,
                # From the end of the token before: a span may leave out the space before a word.
                places=(spans[first][0], spans[target - 1][1], spans[stop - 1][1]),
                group=documents[bisect_right(starts, spans[target][0]) - 1].group,
            )
        )
    if not found and n != 0:
        raise DataError(
            f"the text of {cut.name} is too short for a window",
            expected=f"at least {cut.context:,} tokens",
            got=f"{len(ids):,} tokens in {len(documents)} documents",
            remedy="give more text, or describe the data set with a smaller Documents(context=...)",
        )
    return found


def in_a_row(documents: Sequence[Document]) -> tuple[str, list[int]]:
    """The text of all documents, and where each begins in it.

    One that ends in a line break is followed by the next as it stands, any other by a blank line.
    """
    parts: list[str] = []
    starts: list[int] = []
    length = 0
    for document in documents:
        if parts and not parts[-1].endswith("\n"):
            parts.append("\n\n")
            length += 2
        starts.append(length)
        parts.append(document.text)
        length += len(document.text)
    return "".join(parts), starts
