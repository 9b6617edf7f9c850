"""Where the windows of a convolution or a pooling lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.backends.litert.importers.onnx_ops.values import refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from quantbench.backends.litert.importers.onnx_ops.values import Node

_TWO = 2  # spatial axes


@dataclass(frozen=True)
class Windows:
    """Of height and width each: kernel, stride, dilation, and padding before and after in pixels.

    `whole` is the padding after without what only `ceil_mode` adds, which no average counts.
    """

    lengths: tuple[int, int]
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[tuple[int, int], tuple[int, int]]
    whole: tuple[int, int]

    @property
    def same(self) -> bool:
        """Whether TensorFlow pads so itself, under the name SAME."""
        return all(_same(*each) == pads for each, pads in zip(self._each(), self.pads, strict=True))

    @property
    def none(self) -> bool:
        """Whether nothing is padded."""
        return not any(sum(self.pads, ()))

    @property
    def paddings(self) -> list[list[int]]:
        """As `tf.pad` takes them, channels last."""
        return [[0, 0], *(list(pair) for pair in self.pads), [0, 0]]

    def counts(self, *, padding: bool) -> NDArray[np.float32]:
        """How many of a window's pixels lie inside the picture, or the padding, [height, width]."""
        sides = []
        for i, (length, kernel, stride, _) in enumerate(self._each()):
            before, after = self.pads[i]
            first = 0 if padding else before
            last = before + length + (self.whole[i] if padding else 0)
            starts = np.arange(0, before + length + after - kernel + 1, stride)
            ends = np.minimum(starts + kernel, last)
            sides.append(ends - np.maximum(starts, first))
        counted: NDArray[np.float32] = np.outer(*sides).astype(np.float32)
        return counted

    def _each(self) -> Sequence[tuple[int, int, int, int]]:
        return list(zip(self.lengths, self.kernel, self.strides, self.dilations, strict=True))


def windows(node: Node, lengths: tuple[int, int], kernel: Sequence[int]) -> Windows:
    """The windows that a node asks for on a picture of these lengths.

    Raises:
        BuildError: not two axes, or a padding that is unknown or below zero.
    """
    given = node.attributes
    if len(kernel) != _TWO:
        raise refused(node, f"a kernel of {len(kernel)} axes, not two")
    strides = _pair(given.get("strides", (1, 1)))
    dilations = _pair(given.get("dilations", (1, 1)))
    auto = given.get("auto_pad", "NOTSET")
    pads: list[tuple[int, int]] = []
    whole: list[int] = []
    for i, (length, size, stride, dilation) in enumerate(
        zip(lengths, kernel, strides, dilations, strict=True)
    ):
        if auto.startswith("SAME"):
            before, after = _same(length, size, stride, dilation)
            pair = (after, before) if auto == "SAME_LOWER" else (before, after)
        elif auto in {"NOTSET", "VALID"}:
            explicit = given.get("pads", (0,) * 4) if auto == "NOTSET" else (0,) * 4
            pair = (explicit[i], explicit[i + _TWO])
        else:
            raise refused(node, f"auto_pad {auto}")
        if min(pair) < 0:
            raise refused(node, f"padding of {pair}")
        whole.append(pair[1])
        if given.get("ceil_mode", 0):
            pair = (pair[0], _raised(length, (size - 1) * dilation + 1, stride, pair))
        pads.append(pair)
    return Windows(
        lengths, _pair(kernel), strides, dilations, (pads[0], pads[1]), (whole[0], whole[1])
    )


def _pair(values: Any) -> tuple[int, int]:
    one, other = values
    return int(one), int(other)


def _same(length: int, size: int, stride: int, dilation: int) -> tuple[int, int]:
    """Padding before and after so that every stride gives an answer; the odd pixel goes after."""
    reach = (size - 1) * dilation + 1
    total = max((-(-length // stride) - 1) * stride + reach - length, 0)
    return total // 2, total - total // 2


def _raised(length: int, reach: int, stride: int, pads: tuple[int, int]) -> int:
    """Padding after with which a last, incomplete window fits; it begins in the picture."""
    padded = length + sum(pads)
    n = -(-(padded - reach) // stride) + 1
    if (n - 1) * stride >= length + pads[0]:
        n -= 1
    return max((n - 1) * stride + reach - length - pads[0], pads[1])
