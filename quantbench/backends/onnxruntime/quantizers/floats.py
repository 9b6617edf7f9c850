"""Float schemes: as it is, and stored in half precision."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from quantbench.backends.onnxruntime.check import check_build, float_graph
from quantbench.backends.onnxruntime.files import read_onnx

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from quantbench.study import Scheme


class FloatQuantizer:
    """`ort_float32` takes the model as it is; `ort_float16` stores and computes in float16.

    Float16 is by ONNX Runtime's own tool. Input and outputs stay in float32, and ops that lack a
    float16 kernel are run in float32 between conversions: on a processor most are.
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
        source, path = float_graph(float_model, scheme.name), folder / "model.onnx"
        if scheme.weights == "float32":
            shutil.copyfile(source, path)
        else:
            from onnxruntime.transformers.float16 import convert_float_to_float16

            halved = convert_float_to_float16(read_onnx(source), keep_io_types=True)
            path.write_bytes(halved.SerializeToString(deterministic=True))
        return check_build(path, samples, scheme.weights)
