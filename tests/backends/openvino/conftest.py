"""A small convolutional network, built by OpenVINO's own ops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray


def network(worst: float = 1.0) -> Any:
    """Convolution, clipping, convolution, mean and product; input [1, 3, 16, 16].

    `worst` multiplies one weight of the last product.
    """
    rng = np.random.default_rng(0)

    def weights(*shape: int) -> Any:
        return (rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    fed = ops.parameter([1, 3, 16, 16], np.float32, "images")
    first = ops.convolution(fed, weights(8, 3, 3, 3), [1, 1], [1, 1], [1, 1], [1, 1])
    second = ops.convolution(
        ops.clamp(first, 0.0, 6.0), weights(64, 8, 3, 3), [1, 1], [1, 1], [1, 1], [1, 1]
    )
    pooled = ops.reduce_mean(second, np.array([2, 3]), keep_dims=False)
    product = weights(64, 5)
    product[0, 0] *= worst
    said = ops.matmul(pooled, product, False, False)
    model = ov.Model([said], [fed], "small")
    model.input(0).get_tensor().set_names({"images"})
    model.output(0).get_tensor().set_names({"said"})
    return model


def pictures(n: int, seed: int = 1) -> list[NDArray[np.float32]]:
    """Inputs in 0 to 1."""
    rng = np.random.default_rng(seed)
    return [rng.uniform(size=(1, 3, 16, 16)).astype(np.float32) for _ in range(n)]


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[Any], Path]:
    """Writes a model into a folder of its own, and gives the folder."""
    made = [0]

    def save(model: Any) -> Path:
        made[0] += 1
        folder = tmp_path / f"source{made[0]}"
        folder.mkdir()
        ov.save_model(model, folder / "model.xml", compress_to_fp16=False)
        return folder

    return save
