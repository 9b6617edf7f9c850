"""Pictures whose classes stand in a CSV file."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quantbench.data.groups import check_grouped, group_name
from quantbench.data.labelled import Labelled, check_several, mixed
from quantbench.data.samples import Photo
from quantbench.errors import DataError
from quantbench.sources.names import inner_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_COLUMNS = ("path", "label")


@dataclass(frozen=True)
class LabelledFiles:
    """Pictures that a CSV file lists: a header with `path` and `label`, then a line each.

    Attributes:
        source: the folder that has the CSV file and the pictures, e.g. `file:photos`; paths in
            the file are relative to it.
        table: name of the CSV file of the evaluation split.
        calibration_table: the same of the calibration split.
        calibration_source: where that and its pictures are, when that is elsewhere.
        group: column that names the group of each picture.
    """

    name: str
    source: str
    table: str = "labels.csv"
    calibration_table: str = "calibration.csv"
    calibration_source: str | None = None
    task: str = "classification"
    default_n: int = 5000
    calibration_n: int = 100
    group: str | None = None

    def samples(self, files: Mapping[str, Path], split: str, n: int | None) -> Sequence[Labelled]:
        """The first `n` pictures of `split`, classes mixed; none is opened.

        Raises:
            DataError: there is no such file, it lacks a column, a line lacks its label or names
                a picture that is not there, or a picture has no group where they are asked for.
        """
        root = files.get(split, files["evaluation"])
        path = root / (self.table if split == "evaluation" else self.calibration_table)
        lines = list(self._lines(path))
        classes = tuple(sorted({line["label"] for _, line in lines}))
        check_several(classes, path)
        found = mixed(self._sample(root, where, line, classes) for where, line in lines)
        if self.group is not None and split == "evaluation":
            check_grouped(found, f"{path}, column {self.group!r}")
        return found[:n]

    def _lines(self, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each line with its place."""
        wanted = (*_COLUMNS, *([self.group] if self.group else ()))
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.DictReader(file, strict=True)
                if lacking := [name for name in wanted if name not in (reader.fieldnames or ())]:
                    raise DataError(
                        "a table of labelled pictures lacks a column",
                        where=path,
                        expected=", ".join(wanted),
                        got=", ".join(reader.fieldnames or ()) or "nothing",
                        remedy=f"name it in the first line: {', '.join(lacking)}",
                    )
                for line in reader:
                    where = f"{path}:{reader.line_num}"
                    if any(not str(line[name] or "").strip() for name in _COLUMNS):
                        raise DataError(
                            "a line has no path or no label", where=where, got=dict(line)
                        )
                    yield where, {**line, "label": line["label"].strip()}
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise DataError(
                "not a table of labelled pictures",
                where=path,
                expected=f"CSV in UTF-8 with the columns {', '.join(wanted)}",
                got=f"{type(error).__name__}: {error}",
            ) from error

    def _sample(
        self, root: Path, where: str, line: Mapping[str, Any], classes: tuple[str, ...]
    ) -> Labelled:
        try:
            name = inner_path(line["path"].strip())
        except (TypeError, ValueError) as error:
            raise DataError(
                "a picture's path leads out of the data set", where=where, got=line["path"]
            ) from error
        if not (root / name).is_file():
            raise DataError("a labelled picture is missing", where=where, got=root / name)
        group = group_name(line[self.group]) if self.group else None
        return Labelled(name, Photo(name, root / name, ()), line["label"], classes, group)
