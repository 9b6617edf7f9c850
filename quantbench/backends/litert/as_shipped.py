"""A finished `.tflite`, judged as somebody made it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from quantbench.backends.litert.check import check_build
from quantbench.backends.litert.interpreter import finished_model
from quantbench.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from quantbench.study import Scheme


class AsShippedQuantizer:
    """Quantizes nothing: the model as it came is the artifact, once it is checked."""

    tools = ()
    version = 2
    calibrated = False

    def build(
        self,
        float_model: Path,
        scheme: Scheme,
        samples: Sequence[NDArray[Any]],
        folder: Path,
    ) -> Mapping[str, Any]:
        """Copy and check the model.

        Raises:
            BuildError: there is no `.tflite`, or it does not check.
            PredictionError: it is broken, or the interpreter cannot run it.
        """
        shutil.copytree(float_model, folder, dirs_exist_ok=True)
        if (finished := finished_model(folder)) is None:
            raise BuildError(
                f"{scheme.name} takes a finished model",
                expected="one .tflite file",
                got=sorted(path.name for path in float_model.iterdir())[:5],
            )
        return check_build(finished, samples)
