"""Scenes of real handwritten digits with exact boxes: the embedded detection data set.

The glyphs are scikit-learn's `load_digits` (1,797 digits of 8 x 8 pixels; Alpaydin and Kaynak,
UCI "Optical Recognition of Handwritten Digits", 1998). They are split once, by writer-independent
random draw, into `train` and `evaluation`; calibration scenes use the glyphs of `train`. A scene
depends on (split, index) alone, so any number of scenes can be asked for, in any order, and the
first n of a longer list are the list of n.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZE_PX = 160
CATEGORIES = tuple(str(digit) for digit in range(10))
# Bumped whenever a scene would look different: it is part of every key that depends on scenes.
GENERATOR_VERSION = 1

_SPLIT_CODES = {"train": 0, "calibration": 1, "evaluation": 2}
_TRAIN_SHARE = 0.6
_MAX_DIGITS = 8
_HEIGHT_RANGE_PX = (18.0, 130.0)
_MAX_OVERLAP = 0.2
_INK_THRESHOLD = 0.35
_WHITE = 255.0
_EVEN_ODDS = 0.5


@dataclass(frozen=True)
class Scene:
    """One picture and its truth.

    Attributes:
        image: RGB, uint8, [160, 160, 3].
        boxes: xywh in pixels, float64, [digits, 4]; tight around the ink.
        labels: the digit, int64, [digits].
    """

    image: NDArray[np.uint8]
    boxes: NDArray[np.float64]
    labels: NDArray[np.int64]


def scene(split: str, index: int) -> Scene:
    """Draw scene `index` of `split` ("train", "calibration" or "evaluation").

    One to eight digits, log-uniform heights of 18 to 130 pixels, stretched, tinted, of varied
    contrast, some overlapping (at most 20 % of the smaller box), over a shaded, noisy ground
    with strokes and torn glyphs as clutter.
    """
    rng = np.random.default_rng([GENERATOR_VERSION, _SPLIT_CODES[split], index])
    glyphs, labels = _glyphs("evaluation" if split == "evaluation" else "train")
    canvas = _ground(rng)
    _add_clutter(canvas, glyphs, rng)
    boxes: list[tuple[float, float, float, float]] = []
    drawn: list[int] = []
    # Training learns from digits, not from empty ground: its scenes are the crowded ones.
    fewest = 5 if split == "train" else 1
    wanted = int(rng.integers(fewest, _MAX_DIGITS + 1))
    for _ in range(12 * wanted):
        if len(drawn) == wanted:
            break
        pick = int(rng.integers(len(glyphs)))
        ink = _stretched(glyphs[pick], rng)
        box, corner = _place(ink, rng)
        if any(_overlap(box, other) > _MAX_OVERLAP for other in boxes):
            continue
        _blend(canvas, ink, corner, _ink_colour(canvas, box, rng))
        boxes.append(box)
        drawn.append(int(labels[pick]))
    canvas += rng.uniform(1.0, 6.0) * rng.standard_normal(canvas.shape, dtype=np.float32)
    return Scene(
        image=np.clip(np.rint(canvas), 0, 255).astype(np.uint8),
        boxes=np.array(boxes, dtype=np.float64).reshape(-1, 4),
        labels=np.array(drawn, dtype=np.int64),
    )


def glyph_indices(split: str) -> NDArray[np.int64]:
    """Rows of `load_digits` that `split`, "train" or "evaluation", may draw; never the same."""
    order = np.random.default_rng(20180401).permutation(1797)
    cut = int(_TRAIN_SHARE * len(order))
    return np.sort(order[cut:] if split == "evaluation" else order[:cut]).astype(np.int64)


@cache
def _glyphs(split: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    keep = glyph_indices(split)
    return (digits.images[keep] / 16.0).astype(np.float32), digits.target[keep].astype(np.int64)


def _ground(rng: np.random.Generator) -> NDArray[np.float32]:
    """A shaded background: bilinear blend of four random corner colours."""
    grey = rng.uniform(30, 225)
    corners = np.clip(grey + rng.normal(0, 25, (2, 2, 3)), 0, 255)
    ramp = np.linspace(0.0, 1.0, SIZE_PX)
    top = corners[0, 0] + ramp[:, None] * (corners[0, 1] - corners[0, 0])
    bottom = corners[1, 0] + ramp[:, None] * (corners[1, 1] - corners[1, 0])
    shaded = top[None] + ramp[:, None, None] * (bottom - top)[None]
    return np.asarray(shaded, dtype=np.float32)


def _add_clutter(
    canvas: NDArray[np.float32], glyphs: NDArray[np.float32], rng: np.random.Generator
) -> None:
    """Strokes, and quarters of glyphs that are ink without being a digit."""
    for _ in range(int(rng.integers(0, 3))):
        start, end = rng.uniform(0, SIZE_PX, (2, 2))
        steps = np.linspace(0.0, 1.0, 2 * SIZE_PX)[:, None]
        points = np.rint(start + steps * (end - start)).astype(int).clip(0, SIZE_PX - 1)
        for shift in range(int(rng.integers(1, 4))):
            rows = (points[:, 0] + shift).clip(0, SIZE_PX - 1)
            canvas[rows, points[:, 1]] = rng.uniform(0, 255, 3)
    for _ in range(int(rng.integers(0, 3))):
        row, column = rng.integers(0, 2, 2) * 4
        torn = glyphs[int(rng.integers(len(glyphs)))][row : row + 4, column : column + 4]
        ink = _stretched(torn, rng, high=60.0)
        box, corner = _place(ink, rng)
        _blend(canvas, ink, corner, _ink_colour(canvas, box, rng))


def _stretched(
    glyph: NDArray[np.float32], rng: np.random.Generator, high: float = _HEIGHT_RANGE_PX[1]
) -> NDArray[np.float32]:
    """The glyph as an ink mask in [0, 1] of random height and aspect, [height, width]."""
    height = float(np.exp(rng.uniform(np.log(_HEIGHT_RANGE_PX[0]), np.log(high))))
    width = height * rng.uniform(0.75, 1.2)
    size = (max(8, round(min(width, SIZE_PX - 2))), max(8, round(height)))
    mask = Image.fromarray(glyph).resize(size, Image.Resampling.BICUBIC)
    return np.clip(np.asarray(mask, dtype=np.float32), 0.0, 1.0)


def _place(
    ink: NDArray[np.float32], rng: np.random.Generator
) -> tuple[tuple[float, float, float, float], tuple[int, int]]:
    """A random place wholly inside the picture: (xywh of the ink, top-left corner of the mask)."""
    height, width = ink.shape
    top = int(rng.integers(0, SIZE_PX - height + 1))
    left = int(rng.integers(0, SIZE_PX - width + 1))
    rows = np.flatnonzero((ink > _INK_THRESHOLD).any(axis=1))
    columns = np.flatnonzero((ink > _INK_THRESHOLD).any(axis=0))
    if rows.size == 0 or columns.size == 0:  # a torn corner may hold no ink
        return (float(left), float(top), 1.0, 1.0), (top, left)
    x, y = left + columns[0], top + rows[0]
    box = (float(x), float(y), float(columns[-1] - columns[0] + 1), float(rows[-1] - rows[0] + 1))
    return box, (top, left)


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    """Intersection over the smaller of two xywh boxes."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return max(width, 0.0) * max(height, 0.0) / min(a[2] * a[3], b[2] * b[3])


def _ink_colour(
    canvas: NDArray[np.float32], box: tuple[float, float, float, float], rng: np.random.Generator
) -> NDArray[np.float64]:
    """A colour at 60 to 170 grey levels from what lies under the box, lighter or darker."""
    x, y, width, height = (int(v) for v in box)
    under = canvas[y : y + height, x : x + width].mean(axis=(0, 1))
    contrast = rng.uniform(60, 170)
    dark_fits, light_fits = under.mean() > contrast, under.mean() + contrast <= _WHITE
    darker = dark_fits and (rng.random() < _EVEN_ODDS or not light_fits)
    tint = rng.normal(0, 10, 3)
    return np.asarray(np.clip(under + (-contrast if darker else contrast) + tint, 0, 255))


def _blend(
    canvas: NDArray[np.float32],
    ink: NDArray[np.float32],
    corner: tuple[int, int],
    colour: NDArray[np.float64],
) -> None:
    (top, left), (height, width) = corner, ink.shape
    window = canvas[top : top + height, left : left + width]
    window += ink[:, :, None] * (colour.astype(np.float32) - window)
