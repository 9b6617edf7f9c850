"""Texts that a language model's perplexity is measured on, out of files."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from quantbench.data.document_files import read_documents
from quantbench.data.groups import check_grouped, row_group
from quantbench.data.samples import content_digest
from quantbench.data.texts import check_text, files_of, texts_of
from quantbench.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

_CONTEXT = 512  # tokens, as llama-perplexity's


@dataclass(frozen=True)
class Cut:
    """How a text is cut into windows, in tokens.

    Attributes:
        name: the data set's; windows are named after it.
        context: of a window.
        stride: from one window's first token to the next one's.
        scored: at the end of each window.
    """

    name: str
    context: int
    stride: int
    scored: int


@dataclass(frozen=True)
class Document:
    """A text that is one of several in a row.

    Attributes:
        id: its title where it has one, unique in its data set.
        cut: how the text of all documents is cut.
        group: of documents that are alike; of the evaluated ones each has one, unless it is alone.
    """

    id: str
    text: str = field(repr=False)
    cut: Cut
    group: str | None = None

    @cached_property
    def digest(self) -> str:
        """Of letters and digits alone, as a `Passage`'s."""
        return content_digest(self.text)

    @property
    def fingerprint(self) -> str:
        """Of the text as it is."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True)
class Documents:
    """Texts for perplexity: all of a split in a row are cut into windows (`tasks/perplexity/`).

    `default_n` and `calibration_n` count windows. What they are cut into depends on the model's
    tokenizer, so a data set gives documents.

    Attributes:
        source: a file, or a folder of `.txt` files.
        read: documents of the source, by its suffix (`read_documents`) by default. One that ends
            in a line break is followed by the next as it stands, any other by a blank line.
        calibration_source: of other documents, to calibrate with.
        read_calibration: how they are read where that is another way.
        calibration_documents: without a `calibration_source`, so many documents at the end are
            kept for calibration, and never evaluated.
        context: tokens of a window.
        stride: from one window to the next; the context by default, so that windows do not overlap.
        scored: tokens at the end of each window that are predicted; of N tokens the last
            N // 2 - 1 by default, as llama-perplexity has it.
        group: field of each document's row that names its group; by default each is its own.
    """

    name: str
    source: str
    read: Callable[[Path], Iterable[str]] = read_documents
    calibration_source: str | None = None
    read_calibration: Callable[[Path], Iterable[str]] | None = None
    calibration_documents: int = 0
    task: str = "perplexity"
    default_n: int = 500
    calibration_n: int = 100
    context: int = _CONTEXT
    stride: int | None = None
    scored: int | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        """Refuse windows that cannot be."""
        cut = self.cut
        if not (0 < cut.scored < cut.context and cut.scored <= cut.stride):
            raise UsageError(
                f"{self.name} describes windows that cannot be",
                expected="0 < scored < context, for nothing predicts a window's first token, and "
                "scored <= stride, so that no token counts twice",
                got=f"context={cut.context}, stride={cut.stride}, scored={cut.scored}",
            )
        if self.calibration_source is not None and self.calibration_documents:
            raise UsageError(
                f"{self.name} names its calibration documents twice",
                expected="calibration_source, or calibration_documents of the source itself",
            )

    @property
    def cut(self) -> Cut:
        """How the text is cut."""
        stride = self.context if self.stride is None else self.stride
        scored = self.context // 2 - 1 if self.scored is None else self.scored
        return Cut(self.name, self.context, stride, scored)

    def samples(self, files: Mapping[str, Path], split: str, n: int | None) -> Sequence[Document]:
        """The first `n` documents of `split`; the two splits never share a document.

        Raises:
            DataError: there are none, one is no text or empty, or one has no group where groups
                are asked for.
        """
        evaluation = self._read(files["evaluation"], self.read)
        kept: list[Document] = []
        if self.calibration_source is None:
            evaluation, kept = self._divided(evaluation)
        elif split == "calibration":
            kept = self._read(files["calibration"], self.read_calibration or self.read)
        if split == "evaluation":
            return self._grouped(evaluation)[:n]
        seen = {document.digest for document in evaluation}
        found = [document for document in kept if document.digest not in seen]
        if not found:
            raise DataError(
                f"{self.name} has no documents to calibrate with",
                got=f"{len(kept)}, of which all are evaluated too" if kept else None,
                remedy="Documents(calibration_documents=...) keeps some of the source for it, "
                "calibration_source=... names others",
            )
        return found[:n]

    def _divided(self, documents: list[Document]) -> tuple[list[Document], list[Document]]:
        cut = len(documents) - self.calibration_documents
        if cut < 1:
            raise DataError(
                f"all documents of {self.name} are kept for calibration",
                expected=f"more than calibration_documents={self.calibration_documents}",
                got=f"{len(documents)} documents",
            )
        return documents[:cut], documents[cut:]

    def _grouped(self, documents: list[Document]) -> list[Document]:
        """By the field that is asked for, else each by itself where there are several."""
        if self.group is not None:
            check_grouped(documents, f"{self.name}, field {self.group!r}")
        elif len(documents) > 1:
            return [replace(document, group=document.id) for document in documents]
        return documents

    def _read(self, path: Path, read: Callable[[Path], Iterable[str]]) -> list[Document]:
        if len(files := files_of(path)) == 1:
            (path,) = files
        texts = texts_of(path, read)
        made: dict[str, Document] = {}
        titles: Counter[str] = Counter()
        for number, text in enumerate(texts):
            document = self._document(number, text, path)
            name = document.id
            while name in made:  # another of the same title
                titles[document.id] += 1
                name = f"{document.id} ({titles[document.id] + 1})"
            made[name] = replace(document, id=name)
        if not made:
            raise DataError(f"{self.name} holds no document", where=path)
        return list(made.values())

    def _document(self, number: int, text: str, path: Path) -> Document:
        name = f"{self.name}-{number:05d}"
        where = f"{path}, document {name}"
        check_text(text, "document", where)
        if not text.strip():
            raise DataError("a document is empty", where=where, remedy="leave it out")
        fields: Mapping[str, object] = getattr(text, "fields", {})
        group = row_group(fields, self.group, "document", where)
        title = fields.get("title")
        return Document(str(title) if title else name, str(text), self.cut, group)
