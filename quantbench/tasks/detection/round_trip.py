"""A picture with a painted box, sent into a detector's input and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from quantbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from quantbench.tasks.detection.detector import Detector

_COLOUR = (250, 130, 10)  # RGB; no grey is near it, and no two of its channels are alike
_BOX = (0.5, 0.125, 0.375, 0.5)  # x, y, width, height as shares: turned or mirrored, it is another
_NEAR = 100  # pixel values: over half of a cell is painted
_ROUNDING = 2.0  # pixel values
_APART = 4.0  # pixels of the picture, of which two are one pixel of the input
_SMALLEST = 32  # input pixels; under that scaling leaves nothing of a box but its edges


def check_round_trip(
    prepare: Callable[..., NDArray[np.float32]],
    back: Callable[..., NDArray[Any]],
    detector: Detector,
) -> None:
    """The input shows the box in its own colour, and its place there leads back to its place.

    Measured in what the detector is fed, so it does not rest on the arithmetic that it checks:
    a colour order, a value range, an axis or a letterbox's offset that one of the two ways has
    and the other lacks would spoil every case alike, the float reference too.

    Args:
        prepare: `pictures.fitted`, or what stands in its place.
        back: `pictures.in_picture`.
        detector: its description says what is expected.

    Raises:
        DataError: the box is not seen, has another colour, or comes back elsewhere.
    """
    rows, columns = detector.size
    if min(rows, columns) < _SMALLEST:
        return
    sizes = [(rows, columns)]
    if detector.fit != "exact":
        sizes = [(rows, 2 * columns), (2 * rows, columns)]
    for height, width in sizes:
        picture = np.zeros((height, width, 3), np.uint8)
        left, top, wide, tall = (
            round(share * side) for share, side in zip(_BOX, (width, height) * 2, strict=True)
        )
        picture[top : top + tall, left : left + wide] = _COLOUR
        where = f"a made-up picture, {width} x {height}"
        seen = _pixel_values(prepare(picture, detector, where), detector)
        off = np.abs(seen - _COLOUR).max(axis=-1)
        painted = off <= _NEAR
        if not painted.any():
            _refuse("is not seen", where, f"RGB {_COLOUR}", f"RGB {_brightest(seen)} at most")
        if off.min() > _ROUNDING:
            nearest = _whole(seen[np.unravel_index(off.argmin(), off.shape)])
            _refuse("has another colour", where, f"RGB {_COLOUR}", f"RGB {nearest} at best")
        found = back(_around(painted)[None], (height, width), detector)[0]
        if (np.abs(found - [left, top, wide, tall]) > _APART).any():
            expected = f"x, y, width, height {_whole([left, top, wide, tall])}"
            _refuse("comes back elsewhere", where, expected, _whole(found))


def _pixel_values(values: NDArray[np.float32], detector: Detector) -> NDArray[np.float64]:
    """The input as RGB of 0 to 255, by the formula in `Detector`'s description."""
    picture: NDArray[np.float64] = values[0].astype(np.float64)
    if detector.layout == "nchw":
        picture = picture.transpose(1, 2, 0)
    low, high = detector.value_range
    picture = (picture * detector.std + detector.mean - low) / (high - low) * 255
    return picture[..., ::-1] if detector.channels == "bgr" else picture


def _around(painted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The box around all that is painted: xywh in pixels."""
    rows, columns = (np.flatnonzero(painted.any(axis=axis)) for axis in (1, 0))
    left, top = columns[0], rows[0]
    return np.array([left, top, columns[-1] + 1 - left, rows[-1] + 1 - top], np.float64)


def _brightest(seen: NDArray[np.float64]) -> tuple[int, ...]:
    return _whole(seen.reshape(-1, 3).max(axis=0))


def _whole(values: Any) -> tuple[int, ...]:
    return tuple(int(value) for value in np.rint(values))


def _refuse(what: str, where: str, expected: str, got: object) -> NoReturn:
    raise DataError(
        f"a box painted into a picture {what} on its way through the detector's input",
        where=where,
        expected=expected,
        got=got,
        remedy="the code that prepares pictures or maps boxes back is wrong: every case of the "
        "detector would be fed or read wrongly alike",
    )
