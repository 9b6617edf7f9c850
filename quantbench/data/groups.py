"""Which samples belong together: frames of a video, passages of a book."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.core.jsons import MALFORMED, loads
from quantbench.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from quantbench.protocols import Dataset


def group_name(value: Any) -> str | None:
    """A group as text, of a text or a whole number; None where there is none.

    Raises:
        TypeError: it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | None):
        raise TypeError(f"{str(value)[:40]!r} is no name of a group")
    return str(value).strip() or None if value is not None else None


def row_group(row: Mapping[str, Any], field: str | None, kind: str, where: str) -> str | None:
    """The group that a field of a row names; None where no field is asked for, or it is empty.

    Args:
        row: its fields.
        field: that names the group.
        kind: of sample, for an error: "passage".
        where: the sample is.

    Raises:
        DataError: it is no text and no whole number.
    """
    try:
        return group_name(row.get(field)) if field is not None else None
    except TypeError as error:
        raise DataError(
            f"a {kind}'s group has no name",
            where=f"{where}, field {field!r}",
            expected="a text or a whole number",
            got=error,
        ) from error


def groups_of(samples: Sequence[Any]) -> list[str] | None:
    """The group of each sample, in their order; None where they have none.

    Raises:
        TypeError: a group is no text and no whole number.
        DataError: some have one and some have not.
    """
    groups = [group for sample in samples if (group := _group_of(sample)) is not None]
    if groups:
        check_grouped(samples, "the data set's samples")
    return groups or None


def _group_of(sample: Any) -> str | None:
    return group_name(getattr(sample, "group", None))


def check_asked_once(field: str | None, table: str | None, dataset: str) -> None:
    """Refuse a data set that names its groups in two ways.

    Raises:
        UsageError: it does.
    """
    if field is not None and table is not None:
        raise UsageError(
            f"{dataset} names its groups twice",
            expected="group, a field of each sample, or groups, a file of them",
            got=f"group={field!r}, groups={table!r}",
        )


def from_table(samples: Sequence[Any], path: Path) -> list[Any]:
    """The samples with the groups that a JSON file gives them, id to group.

    Raises:
        DataError: the file is missing or no such table.
    """
    try:
        table = loads(path.read_text(encoding="utf-8-sig"))
        return [replace(sample, group=group_name(table.get(sample.id))) for sample in samples]
    except (OSError, *MALFORMED) as error:
        raise DataError(
            "not a table of groups",
            where=path,
            expected='a JSON object of ids and their groups, {"ID": "GROUP", ...}',
            got=f"{type(error).__name__}: {error}",
        ) from error


def check_grouped(samples: Sequence[Any], asked: str) -> None:
    """Refuse samples of which some are in no group.

    Args:
        samples: the evaluated ones.
        asked: where their groups were looked for.

    Raises:
        DataError: some are in none.
    """
    alone = [sample.id for sample in samples if _group_of(sample) is None]
    if alone:
        raise DataError(
            f"{len(alone)} of {len(samples)} samples have no group, first {alone[0]}",
            where=asked,
            expected="a group for each of them",
            remedy="name the field or file that has it for all of them, or none",
        )


def grouped_by(dataset: Dataset, field: str) -> Dataset:
    """The data set with its samples grouped by this field of theirs, whatever it says itself.

    Raises:
        UsageError: it has no such setting.
    """
    known: list[str] = [each.name for each in fields(dataset)] if is_dataclass(dataset) else []
    if "group" not in known:
        raise UsageError(
            f"{dataset.name} cannot be grouped by {field!r}",
            expected="a data set whose samples have fields: Passages, CocoImages, or a dataclass "
            "of your own with a field `group`",
        )
    changes = {"group": field, **({"groups": None} if "groups" in known else {})}
    return replace(dataset, **changes)  # type: ignore[type-var]


def shuffled(
    samples: Sequence[Any], rng: np.random.Generator, groups: Sequence[str] | None
) -> list[Any]:
    """The samples in a random order; those of a group stay together, and groups come at random."""
    order = rng.permutation(len(samples))
    if groups is not None:
        names, numbers = np.unique(np.asarray(groups), return_inverse=True)
        order = order[np.argsort(rng.permutation(len(names))[numbers][order], kind="stable")]
    return [samples[i] for i in order]
