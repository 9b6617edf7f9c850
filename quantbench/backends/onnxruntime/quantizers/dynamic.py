"""`ort_int8_dynamic`: int8 weights, activations quantized while the model runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quantbench.backends.onnxruntime.check import check_build, float_graph
from quantbench.backends.onnxruntime.quantizers.prepared import prepared_graph

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from quantbench.study import Scheme


class DynamicQuantizer:
    """ONNX Runtime's `quantize_dynamic` on its pre-processed graph.

    Convolutions become `ConvInteger`, which is usually slower than float on a processor; its
    kernel takes unsigned weights, one scale a tensor.
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
            BuildError: the model is quantized already, or the result does not check.
            PredictionError: ONNX Runtime cannot run the result.
        """
        from onnxruntime.quantization import QuantType, quantize_dynamic

        path = folder / "model.onnx"
        with prepared_graph(float_graph(float_model, scheme.name)) as graph:
            quantize_dynamic(graph, path, weight_type=QuantType.QUInt8)
        return check_build(path, samples, scheme.weights)
