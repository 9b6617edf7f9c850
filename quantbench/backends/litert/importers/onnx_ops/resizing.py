"""ONNX's Resize, by LiteRT's kernels where they mean the same, else by chosen rows and columns."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.backends.litert.importers.onnx_ops.values import (
    Value,
    as_pictures,
    pictures,
    refused,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from quantbench.backends.litert.importers.onnx_ops.values import Node, Op

_HEIGHT = 2  # axis; the last one is the width
_EXACT = 1e-6  # of a pixel


def _resize(node: Node) -> Value:
    import tensorflow as tf

    given = node.attributes
    if given.get("antialias", 0) or given.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise refused(node, "antialias or keep_aspect_ratio_policy")
    x = pictures(node)
    lengths = [int(n) for n in x.shape[1:3]]
    sizes, scales = _sizes(node)
    mode, how = (
        given.get("mode", "nearest"),
        given.get("coordinate_transformation_mode", "half_pixel"),
    )
    if mode == "nearest":
        rounding = given.get("nearest_mode", "round_prefer_floor")
        chosen = []
        for length, size, scale in zip(lengths, sizes, scales, strict=True):
            places = _places(node, how, length, size, scale)
            chosen.append(np.clip(_rounded(node, rounding, places), 0, length - 1))
        return as_pictures(_nearest(x, chosen), positive=node.input(0).positive)
    if mode != "linear":
        raise refused(node, f"mode {mode}")
    for length, size, scale in zip(lengths, sizes, scales, strict=True):
        if how != "align_corners" and abs(size - length * scale) > _EXACT * size:
            raise refused(node, f"a scale of {scale:g} for {length} pixels: no whole number")
        if how == "pytorch_half_pixel" and size == 1:
            raise refused(node, f"{how} to one pixel")
    if how not in {"half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"}:
        raise refused(node, f"coordinates {how}")
    y = tf.raw_ops.ResizeBilinear(
        images=x,
        size=sizes,
        align_corners=how == "align_corners",
        half_pixel_centers=how.endswith("half_pixel"),
    )
    return as_pictures(y, positive=node.input(0).positive)


def _nearest(x: Any, chosen: Sequence[NDArray[np.int64]]) -> Any:
    """Those rows and columns of the picture."""
    import tensorflow as tf

    sizes = [len(each) for each in chosen]
    lengths = [int(n) for n in x.shape[1:3]]
    made = [np.arange(size) for size in sizes]
    pairs = list(zip(made, lengths, sizes, strict=True))
    kernels = {  # LiteRT's two, as they choose
        False: [i * length // size for i, length, size in pairs],
        True: [(2 * i + 1) * length // (2 * size) for i, length, size in pairs],
    }
    for half_pixel, theirs in kernels.items():
        if all(np.array_equal(*each) for each in zip(theirs, chosen, strict=True)):
            return tf.raw_ops.ResizeNearestNeighbor(
                images=x, size=sizes, half_pixel_centers=half_pixel
            )
    for axis, rows in enumerate(chosen, start=1):
        x = tf.gather(x, rows.astype(np.int32), axis=axis)
    return x


def _sizes(node: Node) -> tuple[list[int], list[float]]:
    """Height and width of the answer, and their scales."""
    shape = node.input(0).shape
    axes = [axis % len(shape) for axis in node.attributes.get("axes", range(len(shape)))]
    sizes, scales = list(shape), [1.0] * len(shape)
    if node.optional(3) is not None and node.constant(3).size:
        for axis, size in zip(axes, node.constant(3).tolist(), strict=True):
            sizes[axis], scales[axis] = size, size / shape[axis]
    else:
        for axis, scale in zip(axes, node.constant(2).tolist(), strict=True):
            sizes[axis], scales[axis] = math.floor(shape[axis] * scale), scale
    if sizes[:_HEIGHT] != list(shape[:_HEIGHT]):
        raise refused(node, f"a size of {sizes} for {list(shape)}: more than height and width")
    return sizes[_HEIGHT:], scales[_HEIGHT:]


def _places(node: Node, how: str, length: int, size: int, scale: float) -> NDArray[np.float64]:
    """Where in the picture each pixel of the answer comes from, in pixels."""
    made = np.arange(size, dtype=np.float64)
    if how == "half_pixel" or (how == "pytorch_half_pixel" and size > 1):
        return (made + 0.5) / scale - 0.5
    if how == "pytorch_half_pixel":
        return np.zeros(1)
    if how == "asymmetric":
        return made / scale
    if how == "align_corners":
        return made * (length - 1) / max(size - 1, 1)
    raise refused(node, f"coordinates {how}")


def _rounded(node: Node, rounding: str, places: NDArray[np.float64]) -> NDArray[np.int64]:
    near = np.rint(places)
    places = np.where(np.abs(places - near) < _EXACT, near, places)
    if rounding == "floor":
        return np.floor(places).astype(np.int64)
    if rounding == "ceil":
        return np.ceil(places).astype(np.int64)
    half = np.abs(places - np.floor(places) - 0.5) < _EXACT
    if rounding == "round_prefer_floor":
        return np.where(half, np.floor(places), np.floor(places + 0.5)).astype(np.int64)
    if rounding == "round_prefer_ceil":
        return np.where(half, np.ceil(places), np.floor(places + 0.5)).astype(np.int64)
    raise refused(node, f"nearest_mode {rounding}")


OPS: dict[str, Op] = {"Resize": _resize}
