"""Texts for last-word prediction, out of files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from quantbench.data.groups import check_asked_once, check_grouped, from_table, row_group
from quantbench.data.samples import Passage
from quantbench.data.texts import check_text, files_of, read_texts, texts_of
from quantbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Passages:
    """Texts for last-word prediction.

    Attributes:
        source: one file, e.g. `file:passages.jsonl`.
        read: evaluation texts of the source's file, by its suffix (`texts.read_texts`) by
            default.
        read_calibration: calibration texts of the calibration source's file, or None: then the
            last `calibration_n` passages of the one file are kept for calibration.
        spaces_alone: as a `Passage`'s.
        group: field of each text's row that names its group, e.g. `book` of JSON lines.
        restore: gives a calibration text the form of the evaluated ones, where it has another;
            models are trained on these (`as_evaluated`).
        groups: instead, a JSON file beside the source's with the group of each passage's id.
    """

    name: str
    source: str
    read: Callable[[Path], Iterator[str]] = read_texts
    calibration_source: str | None = None
    read_calibration: Callable[[Path], Iterator[str]] | None = None
    task: str = "last_word"
    default_n: int = 500
    calibration_n: int = 100
    spaces_alone: bool = False
    group: str | None = None
    groups: str | None = None
    restore: Callable[[str], str] | None = None
    # Of one passage, on average: of the Bible's by SmolLM2's tokenizer (46,327 in 500).
    tokens: ClassVar[float] = 93

    def __post_init__(self) -> None:
        """Refuse groups that are named twice."""
        check_asked_once(self.group, self.groups, self.name)

    def samples(self, files: Mapping[str, Path], split: str, n: int | None) -> Sequence[Passage]:
        """The first `n` passages of `split`; the two splits never share a passage.

        Raises:
            DataError: the file holds no passage to evaluate, one of a single word, one without a
                group where groups are asked for, or what is no text.
        """
        evaluation = self._read(files["evaluation"], self.read)
        kept: list[Passage] = []
        if self.read_calibration is None:
            # One file serves both: its last passages are never evaluated.
            evaluation, kept = self._divided(evaluation)
        elif split == "calibration":
            kept = self._read(files["calibration"], self.read_calibration)
        if split == "evaluation":
            return self._grouped(evaluation[:n], files["evaluation"])
        seen = {passage.digest for passage in evaluation}
        return [passage for passage in kept if passage.digest not in seen][:n]

    def as_evaluated(self, sample: Passage) -> Passage:
        """A calibration passage in the form of the evaluated ones; its content stays."""
        if self.restore is None:
            return sample
        return replace(sample, text=self.restore(sample.text))

    def _grouped(self, passages: list[Passage], source: Path) -> list[Passage]:
        if self.groups is not None:
            table = (source.parent if source.is_file() else source) / self.groups
            passages = from_table(passages, table)
            check_grouped(passages, str(table))
        if self.group is not None:
            check_grouped(passages, f"{self.name}, field {self.group!r}")
        return passages

    def _divided(self, passages: list[Passage]) -> tuple[list[Passage], list[Passage]]:
        cut = len(passages) - self.calibration_n
        if cut < 1:
            raise DataError(
                f"all passages of {self.name} are kept for calibration",
                expected=f"more than calibration_n={self.calibration_n}",
                got=f"{len(passages)} passages",
                remedy="give more passages, or describe the data set with a smaller calibration_n",
            )
        return passages[:cut], passages[cut:]

    def _read(self, folder: Path, read: Callable[[Path], Iterator[str]]) -> list[Passage]:
        files = files_of(folder, self.groups)
        if len(files) != 1:
            raise DataError("expected one file", where=folder, got=[file.name for file in files])
        (path,) = files
        texts = texts_of(path, read)
        passages = [self._passage(i, text, path) for i, text in enumerate(texts)]
        if not passages:
            raise DataError(f"{self.name} holds no passage", where=path)
        return passages

    def _passage(self, number: int, text: str, path: Path) -> Passage:
        name = f"{self.name}-{number:05d}"
        where = f"{path}, passage {name}"
        check_text(text, "passage", where)
        group = row_group(getattr(text, "fields", {}), self.group, "passage", where)
        passage = Passage(name, str(text), self.spaces_alone, group)
        if passage.split < 1:
            raise DataError(
                "a passage needs a context and a last word",
                where=where,
                expected="at least two words",
                got=repr(text),
            )
        return passage
