"""Pictures into a classifier's input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from quantbench.data.inputs import as_input, check_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from quantbench.tasks.classification.classifier import Classifier

_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def fitted(image: NDArray[Any], classifier: Classifier, name: str) -> NDArray[np.float32]:
    """An RGB uint8 picture as the input, float32 [1, height, width, 3] or channels first.

    Raises:
        DataError: the picture is not uint8 RGB, or not of the classifier's size where that is
            asked for.
    """
    exact = classifier.fit == "exact"
    check_pixels(image, classifier.size if exact else None, "classifier", name)
    if not exact:
        image = _scaled(image, classifier)
    return as_input(image, classifier)


def shorter_side(size: tuple[int, int], pixels: int) -> tuple[int, int]:
    """The (height, width) whose shorter side has so many pixels, as torchvision's `Resize` has it.

    The longer side is rounded down.
    """
    height, width = size
    if height <= width:
        return pixels, int(pixels * width / height)
    return int(pixels * height / width), pixels


def centre(size: tuple[int, int], wanted: tuple[int, int]) -> tuple[int, int]:
    """(top, left) of the middle, as torchvision's `CenterCrop` has it: halves go to even."""
    return round((size[0] - wanted[0]) / 2), round((size[1] - wanted[1]) / 2)


def _scaled(image: NDArray[Any], classifier: Classifier) -> NDArray[np.uint8]:
    size = classifier.size
    if classifier.resize is not None:
        height, width = image.shape[:2]
        size = shorter_side((height, width), classifier.resize)
    scaled = Image.fromarray(image).resize((size[1], size[0]), _FILTERS[classifier.resample])
    top, left = centre(size, classifier.size)
    rows, columns = classifier.size
    return np.asarray(scaled)[top : top + rows, left : left + columns]
