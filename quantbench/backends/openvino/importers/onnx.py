"""ONNX models become OpenVINO's, by its ONNX front end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantbench.backends.openvino.files import read, save

if TYPE_CHECKING:
    from pathlib import Path

    from quantbench.study import Model


class OnnxImporter:
    """A checked `model.onnx` to `model.xml` and `model.bin`, in float32."""

    tools = ("openvino",)
    version = 1

    def build(self, model: Model, source: Path, folder: Path) -> None:
        """Convert.

        Raises:
            PredictionError: OpenVINO cannot read it.
        """
        del model
        save(read(source / "model.onnx"), folder)
