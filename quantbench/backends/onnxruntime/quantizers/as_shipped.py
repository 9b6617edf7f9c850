"""A finished `.onnx`, judged as somebody made it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from quantbench.backends.onnxruntime.check import check_build, imported_graph

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from quantbench.study import Scheme


class AsShippedQuantizer:
    """Quantizes nothing: the model as it came is the artifact, once it is checked."""

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
        """Copy and check the model.

        Raises:
            BuildError: it was not imported, or does not check.
            PredictionError: it is broken, or ONNX Runtime cannot run it.
        """
        del scheme
        path = folder / "model.onnx"
        shutil.copyfile(imported_graph(float_model), path)
        return check_build(path, samples)
