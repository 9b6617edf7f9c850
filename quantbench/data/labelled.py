"""Pictures of one class each, out of whatever holds them."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from quantbench.core.digests import digest_of
from quantbench.data.pixels import opened, rgb
from quantbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray


class Stored(Protocol):
    """A picture without a truth: `samples.Picture`, `samples.Photo`, `Encoded`."""

    @property
    def image(self) -> NDArray[Any]:
        """RGB, uint8, [height, width, 3]."""

    @property
    def digest(self) -> str:
        """sha256 of the content."""

    @property
    def fingerprint(self) -> str:
        """sha256 of the content and of how it is read."""


@dataclass(frozen=True)
class Encoded:
    """A picture that a cell of a table holds, decoded when it is looked at.

    Attributes:
        table: gives `{"bytes": ...}` for a row's number and a column's name.
        row: its number.
        column: its name.
        where: for people.
    """

    table: Any
    row: int
    column: str
    where: str

    @property
    def _bytes(self) -> bytes:
        cell = self.table[self.row][self.column]
        content = cell.get("bytes") if isinstance(cell, dict) else None
        if not isinstance(content, bytes) or not content:
            raise DataError(
                "a row holds no picture", where=self.where, expected="an encoded file's bytes"
            )
        return content

    @property
    def image(self) -> NDArray[Any]:
        """RGB, uint8, [height, width, 3]; raises DataError where it cannot be decoded."""
        with opened(io.BytesIO(self._bytes), self.where) as image:
            return rgb(image, self.where)

    @cached_property
    def digest(self) -> str:
        """Of the encoded file."""
        return hashlib.sha256(self._bytes).hexdigest()

    @property
    def fingerprint(self) -> str:
        """Of the encoded file."""
        return self.digest


@dataclass(frozen=True)
class Labelled:
    """A picture of one class.

    Attributes:
        id: unique in its data set.
        picture: where its pixels are.
        label: its class, by the data set's own name.
        classes: all that its data set has.
        group: of pictures that are alike, e.g. the frames of a video.
    """

    id: str
    picture: Stored
    label: str
    classes: tuple[str, ...]
    group: str | None = None

    @property
    def image(self) -> NDArray[Any]:
        """RGB, uint8, [height, width, 3]; raises DataError where it cannot be decoded."""
        return self.picture.image

    @property
    def truths(self) -> tuple[dict[str, Any], ...]:
        """The label, as other data sets have boxes."""
        return ({"label": self.label},)

    @property
    def digest(self) -> str:
        """Of the picture."""
        return self.picture.digest

    @cached_property
    def fingerprint(self) -> str:
        """Of the picture, how it is read, and the label."""
        return digest_of([self.picture.fingerprint, self.label])


def mixed(samples: Iterable[Labelled]) -> list[Labelled]:
    """In the order of their ids' digests, the same everywhere.

    Folders and tables often come class by class: their first n would be of one class.
    """
    return sorted(samples, key=lambda each: hashlib.sha256(each.id.encode()).hexdigest())


def check_several(classes: Sequence[str], where: object) -> None:
    """Refuse pictures that are all of one class: nobody can be wrong about them.

    Raises:
        DataError: they are.
    """
    if len(classes) < 2:  # noqa: PLR2004 - the fewest that differ
        raise DataError(
            "the pictures are of fewer than two classes",
            where=where,
            expected="pictures of the classes that are told apart",
            got=", ".join(classes) or "none",
        )
