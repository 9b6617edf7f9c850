"""ONNX models become OpenVINO's, by its ONNX front end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantbench.backends.openvino.files import save
from quantbench.errors import BuildError

if TYPE_CHECKING:
    from pathlib import Path

    from quantbench.study import Model


class OnnxImporter:
    """A checked `model.onnx` to `model.xml` and `model.bin`, in float32.

    By `convert_model`, which folds constants and batch normalizations, as the tool `ovc` does.
    """

    tools = ("openvino",)
    version = 2

    def build(self, model: Model, source: Path, folder: Path) -> None:
        """Convert.

        Raises:
            BuildError: OpenVINO's front end refuses it.
        """
        import openvino as ov

        try:
            converted = ov.convert_model(str(source / "model.onnx"))
        except Exception as error:  # its own classes
            raise BuildError(
                f"OpenVINO's ONNX front end refuses {model.name}",
                got=str(error).strip()[:1000],
                remedy="export it without the op that it names, or run it under ONNX Runtime",
            ) from error
        save(converted, folder)
