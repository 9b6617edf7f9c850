"""What every decoder returns, and what several of them need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from quantbench.errors import PredictionError
from quantbench.tasks.detection.metrics.kernels import suppress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

MAX_DETECTIONS = 100  # COCO looks at no more of a category in an image
_CANDIDATES = 1000  # before suppression
_MAP = 4  # axes: batch, rows, columns, channels


class Found(NamedTuple):
    """Detections of one picture, best first.

    Attributes:
        boxes: xywh in pixels of the model's input, [n, 4].
        scores: in [0, 1], [n].
        labels: index into the detector's `category_ids`, [n].
    """

    boxes: NDArray[Any]
    scores: NDArray[Any]
    labels: NDArray[Any]


def output(
    outputs: Mapping[str, NDArray[Any]], role: str, fits: Callable[[tuple[int, ...]], bool]
) -> NDArray[Any]:
    """The output of this name, or the only one whose shape fits; never one by its index.

    Raises:
        PredictionError: there is none, or several fit.
    """
    if role in outputs:
        return outputs[role]
    fitting = [values for values in outputs.values() if fits(values.shape)]
    if len(fitting) != 1:
        shapes = {name: list(values.shape) for name, values in sorted(outputs.items())}
        raise PredictionError(
            f"the model has no output {role!r}",
            expected=f"that name, or one output of its shape ({len(fitting)} fit)",
            got=", ".join(f"{name} {shape}" for name, shape in shapes.items()),
            remedy="name the outputs in the model's signature, or their roles in "
            "Detector(outputs=...)",
        )
    return fitting[0]


def channels_last(values: NDArray[Any], channels: int, role: str) -> NDArray[Any]:
    """A map with its channels last, [1, rows, columns, channels], whichever order it came in.

    Raises:
        PredictionError: it has not that many channels first or last.
    """
    shape = values.shape
    if len(shape) == _MAP and shape[-1] == channels:
        return values
    if len(shape) == _MAP and shape[1] == channels:
        return np.moveaxis(values, 1, -1)
    raise PredictionError(
        f"the output {role!r} is no map of {channels} channels",
        expected=f"[1, rows, columns, {channels}], or [1, {channels}, rows, columns]",
        got=list(shape),
        remedy="say which output is which: Detector(outputs=((role, name), ...)); or how many "
        "categories there are: Detector(category_ids=...)",
    )


def by_name_only(shape: tuple[int, ...]) -> bool:
    """For roles that share their shape with another."""
    del shape
    return False


def best(boxes: NDArray[Any], scores: NDArray[Any], threshold: float) -> Found:
    """The 1,000 best pairs of box and class.

    Args:
        boxes: xywh, [n, 4].
        scores: in [0, 1], [n, classes].
        threshold: the least score that is kept.
    """
    kept = np.flatnonzero(scores >= threshold)
    values = scores.ravel()[kept]
    order = np.argsort(-values, kind="stable")[:_CANDIDATES]
    place, label = np.unravel_index(kept[order], scores.shape)
    return Found(boxes[place], values[order], label)


def without_duplicates(found: Found, threshold: float) -> Found:
    """Class by class, a box goes that overlaps a better one by more than this IoU; 100 stay."""
    boxes = np.ascontiguousarray(found.boxes, dtype=np.float64)
    stays = np.flatnonzero(suppress(boxes, found.labels.astype(np.int64), threshold))
    stays = stays[:MAX_DETECTIONS]
    return Found(found.boxes[stays], found.scores[stays], found.labels[stays])


def grid(size: tuple[int, int], stride: int, offset: float) -> NDArray[np.float32]:
    """(x, y) in pixels of each cell of a map, row by row, [rows * columns, 2].

    Args:
        size: (height, width) of the input; a partial cell at the edge counts.
        stride: pixels a cell.
        offset: .5 for centres, 0 for corners.
    """
    rows, columns = (-(-side // stride) for side in size)
    y, x = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    cells = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)
    return (cells + np.float32(offset)) * np.float32(stride)


def yxyx_to_xywh(boxes: NDArray[Any], scale: tuple[int, int] = (1, 1)) -> NDArray[Any]:
    """TensorFlow's corners, times (height, width), to COCO's boxes; inverted ones get no area."""
    top, left, bottom, right = (boxes * np.array([*scale, *scale], boxes.dtype)).T
    extent = np.maximum(np.stack([right - left, bottom - top], axis=1), 0)
    return np.concatenate([np.stack([left, top], axis=1), extent], axis=1)
