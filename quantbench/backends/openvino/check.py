"""What every OpenVINO build must show about itself before it is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quantbench.backends.openvino.files import check_stored, read, stored_types
from quantbench.backends.openvino.session import OpenVinoModel
from quantbench.diagnosis.answers import check_finite

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

CHECKED = 3  # samples


def check_build(
    path: Path, samples: Sequence[NDArray[np.float32]], weights: str | None = None
) -> dict[str, Any]:
    """Run a model on up to three samples; returns what is stored and which kernels run as facts.

    Args:
        path: the `.xml` file.
        samples: prepared for the model.
        weights: how its weights must be stored (`Scheme.weights`), where that is known.

    Raises:
        BuildError: weights of another type, or an answer that is not finite.
        PredictionError: it is broken, or OpenVINO cannot compile or run it.
    """
    stored = stored_types(read(path))
    if weights is not None:
        check_stored(stored, weights, path.name)
    model = OpenVinoModel(path, threads=2)
    for sample in samples[:CHECKED]:
        check_finite(model(sample), path.name)
    return {"stored": stored, "executed": model.kernels()}
