"""What TensorFlow computes for each of ONNX's ops, opset 13 and later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantbench.backends.litert.importers.onnx_ops import (
    arithmetic,
    arranging,
    combining,
    convolution,
    pooling,
    resizing,
)

if TYPE_CHECKING:
    from quantbench.backends.litert.importers.onnx_ops.values import Op

OPS: dict[str, Op] = {
    **arithmetic.OPS,
    **arranging.OPS,
    **combining.OPS,
    **convolution.OPS,
    **pooling.OPS,
    **resizing.OPS,
}
