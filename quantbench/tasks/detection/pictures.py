"""Pictures into a detector's input, and its boxes back into the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from quantbench.data.inputs import as_input, check_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from quantbench.tasks.detection.detector import Detector


class Placement(NamedTuple):
    """Where a picture lies in the input.

    Attributes:
        height: of the scaled picture, in input pixels.
        width: the same.
        top: of the scaled picture in the input.
        left: the same.
        scale: input pixels per picture pixel, (x, y).
    """

    height: int
    width: int
    top: int
    left: int
    scale: tuple[float, float]


def placement(size: tuple[int, int], detector: Detector) -> Placement:
    """Where a picture of this (height, width) lies in the detector's input."""
    (height, width), (rows, columns) = size, detector.size
    if detector.fit in {"exact", "stretch"}:
        return Placement(rows, columns, 0, 0, (columns / width, rows / height))
    scale = min(rows / height, columns / width)
    inner = max(1, round(height * scale)), max(1, round(width * scale))
    middle = detector.fit == "letterbox"
    top, left = ((rows - inner[0]) // 2, (columns - inner[1]) // 2) if middle else (0, 0)
    return Placement(*inner, top, left, (inner[1] / width, inner[0] / height))


def fitted(image: NDArray[np.uint8], detector: Detector, name: str) -> NDArray[np.float32]:
    """An RGB uint8 picture as the input, float32 [1, height, width, 3] or channels first.

    Scaled bilinearly with antialiasing (Pillow's `BILINEAR`).

    Raises:
        DataError: the picture is not uint8 RGB, or not of the detector's size where that is
            asked for.
    """
    exact = detector.fit == "exact"
    check_pixels(image, detector.size if exact else None, "detector", name)
    if not exact:
        height, width = image.shape[:2]
        image = _placed(image, placement((height, width), detector), detector)
    return as_input(image, detector)


def in_picture(boxes: NDArray[Any], size: tuple[int, int], detector: Detector) -> NDArray[Any]:
    """Boxes (xywh, input pixels, [n, 4]) in the pixels of a picture of this (height, width)."""
    place = placement(size, detector)
    corner = (boxes[:, :2] - [place.left, place.top]) / place.scale
    return np.concatenate([corner, boxes[:, 2:] / place.scale], axis=1)


def _placed(image: NDArray[np.uint8], place: Placement, detector: Detector) -> NDArray[np.uint8]:
    scaled = Image.fromarray(image).resize((place.width, place.height), Image.Resampling.BILINEAR)
    if (place.height, place.width) == detector.size:
        return np.asarray(scaled)
    canvas = np.full((*detector.size, 3), detector.padding, dtype=np.uint8)
    rows, columns = (
        slice(place.top, place.top + place.height),
        slice(place.left, place.left + place.width),
    )
    canvas[rows, columns] = np.asarray(scaled)
    return canvas
