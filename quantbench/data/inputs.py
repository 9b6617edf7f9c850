"""From the pixels of a picture to the numbers that a model is fed, whatever its task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from quantbench.errors import DataError
from quantbench.protocols import PictureInterface

if TYPE_CHECKING:
    from numpy.typing import NDArray


class FedPictures(PictureInterface, Protocol):
    """A description that says the order of the colours too."""

    @property
    def channels(self) -> str:
        """`rgb` or `bgr`."""


def check_pixels(
    image: NDArray[np.uint8], size: tuple[int, int] | None, what: str, name: str
) -> None:
    """Refuse what is no RGB picture of 8 bits, or of another (height, width) than is asked for.

    Raises:
        DataError: it is none.
    """
    expected = (*(size or image.shape[:2]), 3)
    if image.shape != expected or image.dtype != np.uint8:
        raise DataError(
            f"the picture does not fit the {what}",
            where=name,
            expected=f"uint8 {expected}",
            got=f"{image.dtype} {image.shape}",
        )


def as_input(image: NDArray[np.uint8], described: FedPictures) -> NDArray[np.float32]:
    """An RGB uint8 picture of the input's size as float32 [1, height, width, 3].

    Channels come first where the description says so. A pixel value v of 0 to 255 becomes
    (v / 255 * (high - low) + low - mean) / std.
    """
    if described.channels == "bgr":
        image = image[..., ::-1]
    low, high = (np.float64(end) for end in described.value_range)
    mean, std = np.array(described.mean), np.array(described.std)
    values = image.astype(np.float32)
    scale, shift = (high - low) / 255 / std, (low - mean) / std
    if (scale != 1).any():
        values *= scale.astype(np.float32)
    if shift.any():
        values += shift.astype(np.float32)
    if described.layout == "nchw":
        values = np.ascontiguousarray(values.transpose(2, 0, 1))
    return values[None]
