"""ONNX models on this machine's processor or GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantbench.backends.onnxruntime.files import onnx_file
from quantbench.backends.onnxruntime.session import PROVIDERS, OnnxModel
from quantbench.measure.processor import instruction_sets, int8_saturates
from quantbench.protocols import Facts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from quantbench.core.settings import Machine


class OnnxRuntimeRunner:
    """One `.onnx` file (`session.py` says how it is fed and read)."""

    tools = ("onnxruntime",)
    devices = ("cpu", "cuda")

    @staticmethod
    def variant(machine: Machine) -> str:
        """The device, and whether its int8 products saturate."""
        saturates = machine.device == "cpu" and int8_saturates()
        return "cpu, int8 saturates" if saturates else machine.device

    def __init__(self, folder: Path, machine: Machine) -> None:
        """Open the one `.onnx` file in `folder`.

        Raises:
            PredictionError: there is not one, or ONNX Runtime cannot load it.
            MissingDeviceError: the device is not there.
        """
        self._path, self._machine = onnx_file(folder), machine
        self._model = OnnxModel(self._path, machine.threads, machine.device)

    def predict(self, prepared: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """One inference: float input of the model's shape to float outputs by name.

        Raises:
            PredictionError: the shape does not fit, or the runtime failed.
        """
        return self._model(prepared)

    def predict_all(
        self, prepared: Iterable[NDArray[np.float32]]
    ) -> Iterator[dict[str, NDArray[np.float32]]]:
        """One by one: batches of one are what an edge device runs."""
        return map(self._model, prepared)

    def facts(self) -> Facts:
        """Threads, the provider and the nodes that it took, instruction sets, bytes."""
        return Facts(
            threads=self._machine.threads,
            device=self._machine.device,
            weights_bytes=self._path.stat().st_size,
            kernel="ONNX Runtime",
            more={
                "provider": PROVIDERS[self._machine.device],
                "provider_nodes": self._model.nodes(),
                "instruction_sets": list(instruction_sets()),
            },
        )

    def close(self) -> None:
        """Drop the session."""
        self._model.close()
