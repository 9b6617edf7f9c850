"""`ort_int8_static_nncf`: QDQ by NNCF, which chooses what to quantize and where ranges end."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

from quantbench.backends.onnxruntime.check import check_build, float_graph
from quantbench.backends.onnxruntime.files import read_onnx
from quantbench.errors import PredictionError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from quantbench.study import Scheme


class NNCFQuantizer:
    """`nncf.quantize` of an ONNX graph with its defaults: bias correction, ranges averaged.

    What depthwise convolutions read gets a scale a channel by default. Where ONNX Runtime makes a
    `QLinearConv` of that, whose kernel takes one a tensor, all activations get one a tensor.
    """

    tools = ("onnx", "onnxruntime", "nncf")
    version = 2
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
        model, path = read_onnx(float_graph(float_model, scheme.name)), folder / "model.onnx"
        try:
            path.write_bytes(_quantized(model, samples, per_tensor=False))
            return {"activations": "by NNCF", **check_build(path, samples, scheme.weights)}
        except PredictionError:
            path.write_bytes(_quantized(model, samples, per_tensor=True))
            return {"activations": "per tensor", **check_build(path, samples, scheme.weights)}


def _quantized(model: Any, samples: Sequence[NDArray[np.float32]], *, per_tensor: bool) -> bytes:
    import nncf
    from nncf.quantization.advanced_parameters import QuantizationParameters

    more = nncf.AdvancedQuantizationParameters()
    if per_tensor:
        more.activations_quantization_params = QuantizationParameters(per_channel=False)
    data = nncf.Dataset([{model.graph.input[0].name: sample} for sample in samples])
    with redirect_stdout(io.StringIO()):  # its bars
        built = nncf.quantize(model, data, subset_size=len(samples), advanced_parameters=more)
    content: bytes = built.SerializeToString(deterministic=True)
    return content
