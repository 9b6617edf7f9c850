"""What is stored of a picture as RGB of 8 bits, the way its annotations see it."""

from __future__ import annotations

import base64
import io
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from quantbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL import Image

_ORIENTATION = 0x0112  # EXIF's tag
_ON_ITS_SIDE = (5, 6, 7, 8)  # values of it that exchange height and width
_STEP = 257  # of 16 bits, one of 8: 65535 / 255
_MOST_PIXELS = 50_000_000  # 150 MB as RGB
_LONGEST_SIDE = 256  # pixels of a thumbnail, about 8 kB
_DEEP = ("PNG", "PPM")  # formats whose integers Pillow brings to the range of 16 bits


@contextmanager
def opened(file: Path | io.BytesIO, where: Path | str) -> Iterator[Image.Image]:
    """A picture whose header was read; its pixels are decoded when they are asked for.

    Raises:
        DataError: it is no image, also where that shows inside the block, or too large.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # Of too many pixels Pillow warns, or raises: here they are an error of ours.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            found = Image.open(file)
        with found as image:
            if image.width * image.height > _MOST_PIXELS:
                raise DataError(
                    "a picture is too large to decode",
                    where=where,
                    expected=f"at most {_MOST_PIXELS:,} pixels",
                    got=f"{image.width} x {image.height}",
                    remedy="scale it down, or leave it out: models see a few hundred pixels a side",
                )
            yield image
    except (OSError, Image.DecompressionBombError, SyntaxError, ValueError) as error:
        # UnidentifiedImageError and truncated files are OSErrors; broken PNGs raise the rest.
        raise DataError("not an image", where=where, got=error) from error


def thumbnail(image: NDArray[Any]) -> str:
    """A JPEG in base64, at most 256 pixels a side."""
    from PIL import Image

    picture = Image.fromarray(image)
    picture.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=70, optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def rgb(image: Image.Image, path: Path | str) -> NDArray[Any]:
    """The pixels as RGB, uint8, [height, width, 3].

    Grey of 16 bits is scaled by 1/257 to the nearest of 8 bits. Colours of a palette are looked
    up. Transparency is dropped, as COCO's own tools do: what counts is the colour that is stored.

    Raises:
        DataError: its numbers have no defined range.
    """
    import numpy as np

    if is_deep(image):
        values = np.asarray(image).astype(np.uint32)
        grey = ((values + _STEP // 2) // _STEP).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode in {"I", "F"}:
        kind = "32-bit integers" if image.mode == "I" else "floating-point numbers"
        raise DataError(
            f"a picture of {kind} does not say which of them is white",
            where=path,
            expected="8 bits a channel, or 16 bits of grey",
            got=f"{image.format} of mode {image.mode}",
            remedy="convert it to 8-bit RGB or 16-bit grey, scaled as the model was trained",
        )
    if image.mode == "P":  # straight to RGB Pillow warns of transparency that gets lost
        image = image.convert("RGBA")
    return np.asarray(image.convert("RGB"))


def is_deep(image: Image.Image) -> bool:
    """Whether it is grey of 16 bits."""
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format in _DEEP)


def is_turned(image: Image.Image, annotated: tuple[int, int] | None) -> bool:
    """Whether its annotations see it turned as EXIF says, by their (height, width) alone.

    Annotations of the stored size see it as it is stored; COCO's do. So do those that say no
    size, and where height and width are equal after the turn too: nothing tells then.
    """
    if annotated != (image.width, image.height) or image.width == image.height:
        return False
    return image.getexif().get(_ORIENTATION) in _ON_ITS_SIDE
