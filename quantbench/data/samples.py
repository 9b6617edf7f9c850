"""What data sets yield: texts and pictures, each with its truth and its digests."""

from __future__ import annotations

import hashlib
import re
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from quantbench.core.digests import digest_of, sha256_of
from quantbench.data.pixels import is_deep, is_turned, opened, rgb
from quantbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL import Image


_ROUNDING = 1.0  # pixels


@dataclass(frozen=True)
class Passage:
    """A text whose last word is to be predicted from the rest.

    Attributes:
        spaces_alone: words end at spaces and not at line breaks or tabs; so LAMBADA is split by
            the field, which makes the break before the last word of seven passages part of it.
        group: of passages that are alike, e.g. those of a book.
    """

    id: str
    text: str
    spaces_alone: bool = False
    group: str | None = None

    @property
    def split(self) -> int:
        """Where the context ends, in characters; less than 1 where there is none.

        The target keeps the space before it, for tokenizers join the two; a line break or tab
        stays with the context.
        """
        text = self.text.rstrip()
        if self.spaces_alone:
            return text.rfind(" ")
        words = text.rsplit(maxsplit=1)
        if len(words) < 2:  # noqa: PLR2004 - a context and a target
            return 0
        start = len(text) - len(words[1])
        return start - 1 if text[start - 1] == " " else start

    @property
    def digest(self) -> str:
        """Of letters and digits alone (`content_digest`)."""
        return content_digest(self.text)

    @property
    def fingerprint(self) -> str:
        """Of the text as it is, and of where it is split when that is not at its last space."""
        elsewhere = self.split != self.text.rstrip().rfind(" ")
        told = f"{self.text}\0{self.split}" if elsewhere else self.text
        return hashlib.sha256(told.encode()).hexdigest()


@dataclass(frozen=True)
class Picture:
    """An image with its true boxes, in COCO's terms.

    Attributes:
        id: unique in its data set.
        image: RGB, uint8, [height, width, 3].
        truths: COCO annotations: `bbox` xywh in pixels, `category_id`, `area`, `iscrowd`.
        categories: name by id of all that its data set has, where it says so.
        group: of pictures that are alike, e.g. the frames of a video.
    """

    id: str
    image: NDArray[Any]
    truths: tuple[dict[str, Any], ...]
    categories: Mapping[int, str] | None = None
    group: str | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.image.shape[0], self.image.shape[1]

    @property
    def digest(self) -> str:
        """Of the pixels."""
        return hashlib.sha256(self.image.tobytes()).hexdigest()

    @property
    def fingerprint(self) -> str:
        """Of the pixels and the truth."""
        return digest_of([self.digest, self.truths])


@dataclass(frozen=True)
class Photo:
    """A picture on disk, decoded when it is looked at (`data/pixels.py`).

    It is turned as its EXIF data say only where the annotated size shows that its boxes were
    drawn so; else it is taken as it is stored, as COCO does.

    Attributes:
        annotated: (height, width) that its boxes were drawn in, where the annotations say so.
        categories: as a `Picture`'s.
        group: as a `Picture`'s.
    """

    id: str
    path: Path
    truths: tuple[dict[str, Any], ...]
    annotated: tuple[int, int] | None = None
    categories: Mapping[int, str] | None = None
    group: str | None = None

    @property
    def image(self) -> NDArray[Any]:
        """RGB, uint8, [height, width, 3].

        Raises:
            DataError: the file is no image, of another size than its annotations say, or of
                numbers without a range.
        """
        from PIL import ImageOps

        with self._opened() as image:
            turned = is_turned(image, self.annotated)
            return rgb(ImageOps.exif_transpose(image) if turned else image, self.path)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels, from the file's header; raises as `image`."""
        with self._opened() as image:
            return self.annotated or (image.height, image.width)

    @contextmanager
    def _opened(self) -> Iterator[Image.Image]:
        with opened(self.path, self.path) as image:
            stored = image.height, image.width
            if self.annotated not in {None, stored} and not is_turned(image, self.annotated):
                raise DataError(
                    "a picture has another size than its annotations say",
                    where=self.path,
                    expected=f"{self.annotated} (height, width)",
                    got=stored,
                    remedy="give the originals: boxes of a resized copy would miss",
                )
            if self.annotated is None:  # else it was checked where the size was read
                for truth in self.truths:
                    check_inside(truth["bbox"], stored, str(self.path))
            yield image

    @cached_property
    def digest(self) -> str:
        """Of the file."""
        return sha256_of(self.path)

    @cached_property
    def fingerprint(self) -> str:
        """Of the file and the truth, and of how it is read where not simply as it is stored."""
        with self._opened() as image:
            turned, deep = is_turned(image, self.annotated), is_deep(image)
        how = [word for word, meant in (("turned", turned), ("16 bits", deep)) if meant]
        return digest_of([self.digest, self.truths, *how])


def content_digest(text: str) -> str:
    """Of letters and digits alone: spacing, case and punctuation do not make a text new."""
    return hashlib.sha256(re.sub(r"[\W_]", "", text.lower()).encode()).hexdigest()


def check_inside(bbox: Sequence[float], size: tuple[int, int], where: str) -> None:
    """Refuse a box (xywh) whose width or height lies outside its picture for more than half.

    A pixel over the edge is rounding, and less than half may be an object that the edge cuts off.

    Raises:
        DataError: it lies outside.
    """
    height, width = size
    for start, extent, side in zip(bbox[:2], bbox[2:], (width, height), strict=True):
        inside = min(start + extent, side + _ROUNDING) - max(start, -_ROUNDING)
        if inside < max(0.0, extent / 2):
            raise DataError(
                "a box lies outside its picture",
                where=where,
                expected=f"x, y, width, height in pixels of a picture {width} x {height}, at least "
                "half of width and height inside",
                got=list(bbox),
                remedy="boxes may have been written as two corners, or for another size",
            )
