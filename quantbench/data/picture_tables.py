"""Labelled pictures in Parquet, as the Hugging Face Hub keeps data sets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from quantbench.data.groups import check_grouped, group_name
from quantbench.data.labelled import Encoded, Labelled, check_several, mixed
from quantbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class PictureTables:
    """Rows of a picture and its class, of the Parquet files of a source.

    Attributes:
        source: the files of the evaluated split, e.g.
            `hf:datasets/OWNER/NAME==REVISION#file=data/test-*.parquet`, or a file or folder here.
        calibration_source: those of the calibration split.
        picture: column of the encoded pictures.
        label: column of the classes: texts, whole numbers, or a `ClassLabel`.
        label_as: "name" takes a `ClassLabel`'s names for the classes, "number" its numbers.
        group: column that names the group of each picture.
    """

    name: str
    source: str
    calibration_source: str | None = None
    picture: str = "image"
    label: str = "label"
    label_as: Literal["name", "number"] = "name"
    task: str = "classification"
    default_n: int = 5000
    calibration_n: int = 100
    group: str | None = None

    def samples(self, files: Mapping[str, Path], split: str, n: int | None) -> Sequence[Labelled]:
        """The first `n` pictures of `split`, classes mixed; none is decoded.

        Raises:
            DataError: there is no Parquet file, a column is missing or of another kind, a row has
                no label, or a picture has no group where they are asked for.
        """
        if split not in files:
            raise DataError(
                f"{self.name} has no {split} split",
                expected=f"PictureTables(calibration_source=...) for {split}",
            )
        table = self._read(files[split])
        labels = self._labels(table, files[split])
        classes = tuple(sorted(set(labels)))
        check_several(classes, files[split])
        # Column by column: a row would bring its picture along.
        groups = self._column(table, self.group, files[split]) if self.group else None
        found = [
            Labelled(
                f"{self.name}-{row:07d}",
                Encoded(table, row, self.picture, f"{files[split]}, row {row}"),
                label,
                classes,
                None if groups is None else group_name(groups[row]),
            )
            for row, label in enumerate(labels)
        ]
        if self.group is not None and split == "evaluation":
            check_grouped(found, f"{files[split]}, column {self.group!r}")
        return mixed(found)[:n]

    def _read(self, place: Path) -> Any:
        import datasets

        paths = [place] if place.is_file() else sorted(place.rglob("*.parquet"))
        if not paths:
            raise DataError("no Parquet file", where=place, expected="*.parquet")
        try:
            table = datasets.Dataset.from_parquet([str(path) for path in paths])
            kind = table.features[self.picture]
            if not isinstance(kind, datasets.Image) and not isinstance(
                kind, dict
            ):  # a text is a path
                raise TypeError(f"{self.picture} holds {kind}, no encoded pictures")  # noqa: TRY301
            return table.cast_column(self.picture, datasets.Image(decode=False))
        except (
            KeyError,
            ValueError,
            TypeError,
            OSError,
            datasets.exceptions.DatasetsError,
        ) as error:
            raise DataError(
                "not a table of labelled pictures",
                where=place,
                expected=f"Parquet with the columns {self.picture} (pictures) and {self.label}",
                got=f"{type(error).__name__}: {error}",
            ) from error

    def _column(self, table: Any, name: str, where: Path) -> list[Any]:
        if name not in table.column_names:
            raise DataError(
                "a table of labelled pictures lacks a column",
                where=where,
                expected=name,
                got=", ".join(table.column_names),
            )
        return list(table.select_columns([name])[:][name])

    def _labels(self, table: Any, where: Path) -> list[str]:
        """The class of each row."""
        names = self._names(table)
        labels = []
        for row, value in enumerate(self._column(table, self.label, where)):
            if isinstance(value, bool) or not isinstance(value, int | str) or value in ("", -1):
                raise DataError(
                    "a row has no label",
                    where=f"{where}, row {row}",
                    expected="a text or a whole number from 0",
                    got=repr(value)[:80],
                    remedy="the test splits of some data sets are kept without labels: take "
                    "another split",
                )
            labels.append(names[value] if names and isinstance(value, int) else str(value))
        return labels

    def _names(self, table: Any) -> list[str] | None:
        """Of a `ClassLabel`, where they are asked for."""
        feature = table.features.get(self.label)
        return getattr(feature, "names", None) if self.label_as == "name" else None
