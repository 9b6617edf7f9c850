"""What is stored of a picture as RGB of 8 bits, the way its annotations see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quantbench.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL import Image

_ORIENTATION = 0x0112  # EXIF's tag
_ON_ITS_SIDE = (5, 6, 7, 8)  # values of it that exchange height and width
_STEP = 257  # of 16 bits, one of 8: 65535 / 255
_DEEP = ("PNG", "PPM")  # formats whose integers Pillow brings to the range of 16 bits


def rgb(image: Image.Image, path: Path) -> NDArray[Any]:
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
