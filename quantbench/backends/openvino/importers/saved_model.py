"""TensorFlow's SavedModels become OpenVINO's, by its TensorFlow front end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quantbench.backends.openvino.files import save
from quantbench.diagnosis.tensorflow import saved_model_answers, saved_model_folder
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
    version = 2

    def build(self, model: Model, source: Path, folder: Path) -> None:
        """Convert.

        Raises:
            BuildError: OpenVINO's front end refuses it.
        """
        import openvino as ov

        try:
            converted = ov.convert_model(str(saved_model_folder(source)))
            _fix_size(converted, model)
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
        return saved_model_answers(saved_model_folder(source), samples)


def _fix_size(converted: Any, model: Model) -> None:
    """Give the one input the size of the model's description, where it leaves it open."""
    size = getattr(model.interface, "size", None)
    if len(converted.inputs) != 1 or converted.input(0).partial_shape.is_static or size is None:
        return  # what cannot be run is told where it is opened
    first = model.interface.layout == "nchw"
    converted.reshape([1, 3, *size] if first else [1, *size, 3])
