"""TensorFlow's SavedModels become OpenVINO's, by its TensorFlow front end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quantbench.backends.openvino.files import save
from quantbench.diagnosis.tensorflow import saved_model_answers
from quantbench.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from quantbench.study import Model


class SavedModelImporter:
    """A SavedModel's `serving_default` to `model.xml` and `model.bin`, in float32."""

    tools = ("openvino", "tensorflow")
    version = 1

    def build(self, model: Model, source: Path, folder: Path) -> None:
        """Convert.

        Raises:
            BuildError: OpenVINO's front end refuses it.
        """
        import openvino as ov

        try:
            converted = ov.convert_model(str(source))
        except Exception as error:  # its own classes
            raise BuildError(
                f"OpenVINO's TensorFlow front end refuses {model.name}",
                got=str(error).strip()[:1000],
                remedy="cut the op off that it names (Detector(outputs=...) chooses what is kept)",
            ) from error
        save(converted, folder)

    def answers(
        self, source: Path, samples: Sequence[NDArray[np.float32]]
    ) -> list[dict[str, NDArray[Any]]]:
        """What TensorFlow itself answers to each sample, by output name."""
        return saved_model_answers(source, samples)
