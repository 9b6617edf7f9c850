"""`ov_int8_weight` and `ov_int4_weight`: compressed weights, computed in float."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

from quantbench.backends.openvino.check import check_build
from quantbench.backends.openvino.files import float_file, read, save

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from quantbench.study import Scheme

_GROUP = 32  # weights that share a scale in 4 bits


class WeightQuantizer:
    """NNCF's `compress_weights`: 8 bits a channel, asymmetric; or 4 bits in groups, symmetric.

    In 4 bits are products of matrices alone, where 32 divides their rows; all else has 8.
    """

    tools = ("openvino", "nncf")
    version = 1
    calibrated = False

    def build(
        self,
        float_model: Path,
        scheme: Scheme,
        samples: Sequence[NDArray[np.float32]],
        folder: Path,
    ) -> Mapping[str, Any]:
        """Compress, write the model and check it.

        Raises:
            BuildError: nothing has the scheme's type in the end, or the result does not check.
            PredictionError: OpenVINO cannot run the result.
        """
        import nncf

        model = read(float_file(float_model, scheme.name))
        more: dict[str, Any] = {"mode": nncf.CompressWeightsMode.INT8_ASYM}
        if scheme.weights == "int4":
            more = {
                "mode": nncf.CompressWeightsMode.INT4_SYM,
                "group_size": _GROUP,
                "all_layers": True,  # the last one too
            }
        with redirect_stdout(io.StringIO()):  # its bars
            compressed = nncf.compress_weights(model, **more)
        return check_build(save(compressed, folder), samples, scheme.weights)
