"""A finished OpenVINO model, judged as somebody made it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from quantbench.backends.openvino.check import check_build
from quantbench.backends.openvino.files import checked_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from quantbench.study import Scheme


class AsShippedQuantizer:
    """Quantizes nothing: the model as it came is the artifact, once it is checked."""

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
        """Copy and check the model.

        Raises:
            BuildError: it does not check.
            PredictionError: it is broken, or OpenVINO cannot run it.
        """
        del scheme
        source, path = checked_file(float_model), folder / "model.xml"
        shutil.copyfile(source, path)
        shutil.copyfile(source.with_suffix(".bin"), path.with_suffix(".bin"))
        return check_build(path, samples)
