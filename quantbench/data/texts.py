"""Texts out of files: one reader a format."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Self

from quantbench.core.jsons import loads
from quantbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path


class Text(str):
    """A text, with the other fields of its row."""

    __slots__ = ("fields",)
    fields: Mapping[str, Any]

    def __new__(cls, text: str, fields: Mapping[str, Any]) -> Self:
        """Of the row that it comes from."""
        made = super().__new__(cls, text)
        made.fields = fields
        return made


_UTF8 = "utf-8-sig"  # without the mark that some editors put in front


def files_of(source: Path, besides: str | None = None) -> list[Path]:
    """The source itself where it is a file, else the files in its folders, in their names' order.

    A hub's file stands where it does in its repository. `besides` names one that does not count.
    """
    if source.is_file():
        return [source]
    return sorted(path for path in source.rglob("*") if path.is_file() and path.name != besides)


def texts_of(path: Path, read: Callable[[Path], Iterable[str]]) -> list[str]:
    """All texts of a file, by its reader.

    Raises:
        DataError: the file is not UTF-8, or what the reader raises.
    """
    try:
        return list(read(path))
    except UnicodeDecodeError as error:
        raise DataError("the file is not UTF-8", where=path, got=error) from error


def check_text(text: str, kind: str, where: str) -> None:
    """Refuse what is no text, or holds half a character.

    Raises:
        DataError: it is so; `kind` says of what: "passage".
    """
    try:
        text.encode()
    except (UnicodeEncodeError, AttributeError) as error:
        raise DataError(
            f"a {kind} is no text", where=where, expected="Unicode", got=error
        ) from error


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
    """The `text` of each line of a JSON-lines file, with the line's other fields.

    Raises:
        DataError: a line is no JSON object with a text under "text".
    """
    with path.open(encoding=_UTF8) as lines:
        for number, line in enumerate(lines, start=1):
            try:
                row = loads(line)
                text = row["text"]
            except (ValueError, TypeError, KeyError, RecursionError):
                text = None
            if not isinstance(text, str):
                raise DataError(
                    "not a passage",
                    where=f"{path}:{number}",
                    expected='{"text": "..."}',
                    got=repr(line[:80]),
                )
            yield Text(text, row)


def read_lines(path: Path) -> Iterator[str]:
    """Each line that is not blank."""
    with path.open(encoding=_UTF8) as lines:
        yield from (line.strip() for line in lines if line.strip())


def read_parquet(path: Path) -> Iterator[str]:
    """The column `text` of a Parquet file, as the Hugging Face Hub keeps data sets.

    With the row's other columns.

    Raises:
        DataError: there is no such column, or the file is no Parquet.
    """
    from datasets import Dataset

    try:
        table = Dataset.from_parquet(str(path), keep_in_memory=True)
        _ = table["text"]
    except (KeyError, ValueError, OSError) as error:
        raise DataError(
            "not a table of passages",
            where=path,
            expected="Parquet with a column text",
            got=f"{type(error).__name__}: {error}",
        ) from error
    for row in table:
        yield Text(row["text"], row) if isinstance(row["text"], str) else row["text"]


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
    yield from map(detokenized, read_lines(path))


def detokenized(text: str) -> str:
    """Penn Treebank tokens as running text, as `read_tokenized` says."""
    for pattern, written in _DETOKENIZED:
        text = re.sub(pattern, written, text)
    return text.strip()


_STRAIGHT = str.maketrans({"\u201c": '"', "\u201d": '"', "`": "'"})


def as_written(text: str) -> str:
    """Lower-case tokens as a book prints them, as far as that can be told from the tokens.

    `detokenized`, with straight quotation marks, capitals where sentences begin, and the pronoun I.
    Names stay in lower case, and paragraphs are not divided.
    """
    text = re.sub(r"(^|\s)`\s+", r"\1'", text)
    text = re.sub(r"\s+'(?=\s|$)", "'", detokenized(text)).translate(_STRAIGHT)
    text = re.sub(r"\bi\b", "I", text)
    return re.sub(r"(?:^|[.!?]['\"]?\s+)['\"]?[a-z]", lambda found: found[0].upper(), text).strip()
