"""A small convolutional network, built by ONNX's own helpers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray


def network(opset: int = 13, size: Any = 16, *, named: bool = True) -> Any:
    """Convolution, clipping, depthwise convolution, mean and product; input [1, 3, size, size]."""
    rng = np.random.default_rng(0)

    def constant(name: str, *shape: int) -> Any:
        values = rng.normal(size=shape).astype(np.float32) / np.sqrt(np.prod(shape[1:]) + 1)
        return numpy_helper.from_array(values.astype(np.float32), name)

    bounds = [numpy_helper.from_array(np.float32(v), n) for n, v in (("low", 0.0), ("high", 6.0))]
    weights = [
        constant("w0", 8, 3, 3, 3), constant("b0", 8), constant("w1", 8, 1, 3, 3),
        constant("w2", 8, 5), *bounds,
    ]  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["images", "w0", "b0"], ["c0"], pads=[1] * 4),
        helper.make_node("Clip", ["c0", "low", "high"], ["r0"]),
        helper.make_node("Conv", ["r0", "w1"], ["c1"], group=8, pads=[1] * 4),
        helper.make_node("GlobalAveragePool", ["c1"], ["m"]),
        helper.make_node("Flatten", ["m"], ["f"]),
        helper.make_node("MatMul", ["f", "w2"], ["said"]),
    ]
    if named:
        for node in nodes:
            node.name = f"op_{node.output[0]}"
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, size, size])],
        [helper.make_tensor_value_info("said", TensorProto.FLOAT, None)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    return model


def pictures(n: int, size: int = 16, seed: int = 1) -> list[NDArray[np.float32]]:
    """Inputs in 0 to 1."""
    rng = np.random.default_rng(seed)
    return [rng.uniform(size=(1, 3, size, size)).astype(np.float32) for _ in range(n)]


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[Any], Path]:
    """Writes a model as `model.onnx` into a folder of its own, and gives the folder."""
    made = [0]

    def save(model: Any) -> Path:
        made[0] += 1
        folder = tmp_path / f"source{made[0]}"
        folder.mkdir()
        (folder / "model.onnx").write_bytes(model.SerializeToString())
        return folder

    return save
