"""`ort_int4_weight`: weights of matrix products in 4 bits, in blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quantbench.backends.onnxruntime.check import check_build, float_graph
from quantbench.backends.onnxruntime.files import read_onnx
from quantbench.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from quantbench.study import Scheme

_BLOCK = 32  # weights that share a scale


class Int4Quantizer:
    """Products with constant matrices become `MatMulNBits`: symmetric, 32 weights a scale.

    Everything else, convolutions too, stays in float.
    """

    tools = ("onnx", "onnxruntime")
    version = 1
    calibrated = False

    def build(
        self,
        float_model: Path,
        scheme: Scheme,
        samples: Sequence[NDArray[np.float32]],
        folder: Path,
    ) -> Mapping[str, Any]:
        """Write `model.onnx` and check it.

        Raises:
            BuildError: the model has no such product, or is quantized already.
            PredictionError: ONNX Runtime cannot run the result.
        """
        from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

        source, path = float_graph(float_model, scheme.name), folder / "model.onnx"
        tool = MatMulNBitsQuantizer(read_onnx(source), bits=4, block_size=_BLOCK, is_symmetric=True)
        tool.process()
        changed = [n.name for n in tool.model.model.graph.node if n.op_type == "MatMulNBits"]
        if not changed:
            raise BuildError(
                f"{scheme.name} has nothing to quantize",
                where=source.name,
                expected="products of matrices (MatMul) with constant weights",
                got="none in this model",
                remedy="its convolutions have 8-bit schemes: ort_int8_static",
            )
        path.write_bytes(tool.model.model.SerializeToString(deterministic=True))
        return {"quantized_ops": len(changed), **check_build(path, samples, scheme.weights)}
