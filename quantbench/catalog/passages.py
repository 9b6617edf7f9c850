"""Texts for last-word prediction, out of files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quantbench.catalog.samples import Passage
from quantbench.catalog.texts import read_texts
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
    """

    name: str
    source: str
    read: Callable[[Path], Iterator[str]] = read_texts
    calibration_source: str | None = None
    read_calibration: Callable[[Path], Iterator[str]] | None = None
    task: str = "last_word"
    default_n: int = 500
    calibration_n: int = 100

    def samples(self, files: Mapping[str, Path], split: str, n: int | None) -> Sequence[Passage]:
        """The first `n` passages of `split`; the two splits never share a passage.

        Raises:
            DataError: the file holds no passage, or one of a single word.
        """
        evaluation = self._read(files["evaluation"], self.read)
        if self.read_calibration is None:
            # One file serves both: its last passages are never evaluated.
            evaluation, calibration = (
                evaluation[: -self.calibration_n],
                evaluation[-self.calibration_n :],
            )
        elif split == "calibration":
            seen = {passage.digest for passage in evaluation}
            calibration = self._read(files["calibration"], self.read_calibration)
            calibration = [passage for passage in calibration if passage.digest not in seen]
        return (calibration if split == "calibration" else evaluation)[:n]

    def _read(self, folder: Path, read: Callable[[Path], Iterator[str]]) -> list[Passage]:
        files = [folder] if folder.is_file() else [p for p in folder.iterdir() if p.is_file()]
        if len(files) != 1:
            raise DataError("expected one file", where=folder, got=[file.name for file in files])
        (path,) = files
        try:
            texts = list(read(path))
        except UnicodeDecodeError as error:
            raise DataError("the file is not UTF-8", where=path, got=error) from error
        passages = [Passage(f"{self.name}-{i:05d}", text) for i, text in enumerate(texts)]
        if not passages:
            raise DataError(f"{self.name} holds no passage", where=path)
        for passage in passages:
            if len(passage.text.split()) < 2:  # noqa: PLR2004 - a context and a target
                raise DataError(
                    "a passage needs a context and a last word",
                    where=f"{path}, passage {passage.id}",
                    expected="at least two words",
                    got=repr(passage.text),
                )
        return passages
