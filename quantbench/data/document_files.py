"""Documents out of files: one reader a format. Fields that a `Text` may have: its `title`."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from quantbench.data.texts import Text, files_of, read_jsonl, read_parquet
from quantbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_UTF8 = "utf-8-sig"
_WIKITEXT = (".raw", ".tokens")  # wiki.test.raw, wiki.train.tokens
# ` = Title = `; sections have two signs and more, ` = = Section = = `.
_HEADING = re.compile(r"= (?!= )(?P<title>.*?)(?<! =) =")
_BLANK = " \n"


def read_documents(path: Path) -> Iterator[str]:
    """Documents of a file whose suffix says its format, or of a folder of `.txt` files.

    `.jsonl` and `.parquet`: a document a row, its text under `text`. `.txt`: a document a file,
    without the line breaks at its end. `wiki.*.raw`, `wiki.*.tokens`: `read_wikitext`.

    Raises:
        DataError: another suffix, a folder of other files, or what the format's reader raises.
    """
    files = files_of(path)
    if files and all(each.suffix == ".txt" for each in files):
        for each in files:
            yield Text(each.read_text(encoding=_UTF8).rstrip("\r\n"), {"title": each.stem})
        return
    readers = {".jsonl": read_jsonl, ".parquet": read_parquet}
    readers |= dict.fromkeys(_WIKITEXT, read_wikitext)
    if len(files) != 1 or files[0].suffix not in readers:
        raise DataError(
            "no documents whose format is known",
            where=path,
            expected=f"a file of {', '.join(('.txt', *readers))}, or a folder of .txt files",
            got=", ".join(each.name for each in files[:5]) or "an empty folder",
            remedy="rename it, or say how it is read: Documents(read=...)",
        )
    yield from readers[files[0].suffix](files[0])


def read_wikitext(path: Path) -> Iterator[Text]:
    """Articles of WikiText (Merity et al., 2016), with all line breaks of the file.

    An article begins at a heading of level one between blank lines. Parquet, as the Hugging Face
    Hub keeps it, has a line a row and nothing in the place of a blank line: that is put back, so
    that both give the same text.

    Raises:
        DataError: a row of Parquet is no text.
    """
    lines = _of_hub(path) if path.suffix == ".parquet" else _of_file(path)
    article: list[str] = []
    title = ""
    before = _BLANK
    # A blank line after the last one: a heading may stand there.
    for line, after in pairwise([*lines, _BLANK]):
        heading = _HEADING.fullmatch(line.strip())
        if heading and not before.strip() and not after.strip():
            if title:
                yield Text("".join(article), {"title": title})
                article = []
            title = heading["title"]
        article.append(line)
        before = line
    if article:
        yield Text("".join(article), {"title": title})


def _of_file(path: Path) -> Iterator[str]:
    with path.open(encoding=_UTF8, newline="\n") as lines:
        yield from lines


def _of_hub(path: Path) -> Iterator[str]:
    for number, line in enumerate(read_parquet(path)):
        if not isinstance(line, str):
            raise DataError("a line is no text", where=f"{path}, row {number}", got=repr(line))
        text = str(line) or _BLANK
        yield text if text.endswith("\n") else f"{text}\n"
