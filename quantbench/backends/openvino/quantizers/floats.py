"""Float schemes: as it is, and stored in half precision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quantbench.backends.openvino.check import check_build
from quantbench.backends.openvino.files import float_file, read, save

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from quantbench.study import Scheme


class FloatQuantizer:
    """`ov_float32` takes the model as it is; `ov_float16` stores constants in float16.

    Both are computed in float32.
    """

    tools = ("openvino",)
    version = 1
    calibrated = False

    def build(
        self,
        float_model: Path,
        scheme: Scheme,
        samples: Sequence[NDArray[np.float32]],
        folder: Path,
    ) -> Mapping[str, Any]:
        """Write the model and check it.

        Raises:
            BuildError: the model is quantized already, or the result does not check.
            PredictionError: OpenVINO cannot run the result.
        """
        source = read(float_file(float_model, scheme.name))
        path = save(source, folder, halved=scheme.weights == "float16")
        return check_build(path, samples, scheme.weights)
