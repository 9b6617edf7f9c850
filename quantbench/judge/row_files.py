"""Samples out of JSON lines, CSV or Parquet: an id, a value, a group."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.core.jsons import MALFORMED, loads
from quantbench.errors import DataError, MissingExtraError, meant
from quantbench.judge.samples import Samples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

_MOST = 1e100  # beyond it sums of squares overflow
_WORDS = {"true": True, "false": False}


def read_rows(
    path: Path,
    value: str,
    *,
    group: str | None = None,
    id: str = "id",  # noqa: A002 - the field's usual name
    lower_is_better: bool = False,
) -> Samples:
    """One value a sample.

    Values that are all true or false (in CSV also 1 or 0, or the words) are right or wrong
    answers; all else are numbers.

    Args:
        path: `.jsonl`, `.csv` with a header, or `.parquet`.
        value: field of the value.
        group: field of the sample's group.
        id: field of the sample's id.
        lower_is_better: an increase is a loss.

    Raises:
        DataError: it is no such file, a field is missing or no number, or an id stands twice; with
            the line.
        MissingExtraError: Parquet, and nothing that reads it.
    """
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise DataError(
            "a file of rows of an unknown kind", where=path, expected=", ".join(_READERS)
        )
    ids: list[str] = []
    values: list[Any] = []
    groups: list[str] = []
    seen: dict[str, int] = {}
    try:
        for number, row in enumerate(read(path), 1):
            where = f"{path}, row {number}"
            sample = str(_field(row, id, where))
            if sample in seen:
                raise DataError(
                    "two rows of one sample",
                    where=where,
                    got=f"{id} {sample!r}, also in row {seen[sample]}",
                )
            seen[sample] = number
            ids.append(sample)
            values.append(_value(_field(row, value, where), where))
            if group is not None:
                groups.append(str(_field(row, group, where)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError("cannot read the file", where=path, got=error) from error
    if not ids:
        raise DataError("a file without a row", where=path)
    found = _array(values, path)
    return Samples(value, tuple(ids), found, lower_is_better, (), tuple(groups) or None)


def _field(row: Mapping[str, Any], name: str, where: str) -> Any:
    found = row.get(name)
    if name in row and (found is None or found == "" or found != found):  # noqa: PLR0124 - NaN
        raise DataError(
            f"a row whose {name!r} is empty", where=where, expected=f"a value of {name!r}"
        )
    if found is None:
        raise DataError(
            f"a row without {name!r}",
            where=where,
            expected=f"a field {name!r}",
            got=", ".join(map(str, row)) or "no field",
            remedy=meant(name, map(str, row)),
        )
    return found


def _value(found: Any, where: str) -> bool | float:
    if isinstance(found, str):
        word = found.strip().lower()
        if word in _WORDS:
            return _WORDS[word]
        try:
            found = float(word)
        except ValueError as error:
            raise DataError(
                "a value that is no number",
                where=where,
                expected="a number, true or false",
                got=repr(found[:40]),
            ) from error
    if isinstance(found, bool):
        return found
    if not isinstance(found, int | float) or not abs(found) < _MOST:
        raise DataError(
            "a value that is no number",
            where=where,
            expected="a finite number, true or false",
            got=repr(found)[:40],
        )
    return float(found)


def _array(values: list[Any], path: Path) -> NDArray[Any]:
    """Booleans where all are, or where a text file's numbers are all 0 or 1."""
    kinds = {type(value) for value in values}
    if kinds == {bool}:
        return np.array(values, dtype=bool)
    if bool in kinds:
        raise DataError(
            "some values are true or false and others are numbers",
            where=path,
            expected="one kind of values",
        )
    numbers = np.array(values, dtype=np.float64)
    return numbers.astype(bool) if np.isin(numbers, (0, 1)).all() else numbers


def _lines(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = loads(line)
            except MALFORMED as error:
                raise DataError(
                    "a line that is no JSON", where=f"{path}, line {number}", got=error
                ) from error
            if not isinstance(row, dict):
                raise DataError(
                    "a line that is no JSON object",
                    where=f"{path}, line {number}",
                    got=type(row).__name__,
                )
            yield row


def _table(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file)


def _parquet(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        from pyarrow import ArrowException, parquet
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "pyarrow is not installed, which reads Parquet",
            remedy='pip install "quantbench[judge]"',
        ) from error
    try:
        yield from parquet.read_table(path).to_pylist()
    except ArrowException as error:
        raise DataError(
            "cannot read the file", where=path, expected="Parquet", got=error
        ) from error


_READERS: dict[str, Callable[[Path], Iterator[Mapping[str, Any]]]] = {
    ".jsonl": _lines,
    ".csv": _table,
    ".parquet": _parquet,
}
