"""`ort_int8_static_nncf`: QDQ by NNCF, which chooses what to quantize and where ranges end."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

from quantbench.backends.onnxruntime.check import check_build, float_graph
from quantbench.backends.onnxruntime.files import read_onnx

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from quantbench.study import Scheme


class NNCFQuantizer:
    """`nncf.quantize` of an ONNX graph with its defaults: bias correction, ranges averaged."""

    tools = ("onnx", "onnxruntime", "nncf")
    version = 1
    calibrated = True

    def build(
        self,
        float_model: Path,
        scheme: Scheme,
        samples: Sequence[NDArray[np.float32]],
        folder: Path,
    ) -> Mapping[str, Any]:
        """Calibrate on all samples, write `model.onnx` and check it.

        Raises:
            BuildError: the model is quantized already, or the result does not check.
            PredictionError: ONNX Runtime cannot run the result.
        """
        import nncf
        from nncf.quantization.advanced_parameters import QuantizationParameters

        model, path = read_onnx(float_graph(float_model, scheme.name)), folder / "model.onnx"
        name = model.graph.input[0].name
        data = nncf.Dataset([{name: sample} for sample in samples])
        # A scale a channel is NNCF's choice for what depthwise convolutions read: the runtime's
        # kernel (QLinearConv) takes one a tensor.
        per_tensor = nncf.AdvancedQuantizationParameters(
            activations_quantization_params=QuantizationParameters(per_channel=False)
        )
        with redirect_stdout(io.StringIO()):  # its bars
            built = nncf.quantize(
                model, data, subset_size=len(samples), advanced_parameters=per_tensor
            )
        path.write_bytes(built.SerializeToString(deterministic=True))
        return check_build(path, samples, scheme.weights)
