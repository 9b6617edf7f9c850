"""Single handwritten digits: the embedded classification data set.

The glyphs of `scenes.py`, one a picture: scikit-learn's `load_digits`, 1,797 digits of 8 x 8 pixels
of 17 shades, no two alike. The evaluation glyphs are the same as of the scenes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from quantbench.catalog.digits.scenes import glyph_indices

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZE_PX = 8
_SHADES = 16
_CALIBRATING = 200


def glyphs(split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """All glyphs of "train", "calibration" or "evaluation", in an order without a meaning.

    Returns:
        RGB pictures, uint8 [n, 8, 8, 3], white ink on black; the digit of each [n]; the row of
        each in `load_digits` [n].
    """
    from sklearn.datasets import load_digits

    rows = _rows(split)
    digits = load_digits()
    grey = np.rint(digits.images[rows] * (255 / _SHADES)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=3), digits.target[rows].astype(np.int64), rows


def _rows(split: str) -> NDArray[np.int64]:
    """719 for evaluation; of the others 200 calibrate and 878 train."""
    rows = glyph_indices("evaluation" if split == "evaluation" else "train")
    rows = np.random.default_rng(20181101).permutation(rows)
    if split == "evaluation":
        return rows
    return rows[:_CALIBRATING] if split == "calibration" else rows[_CALIBRATING:]
