"""LiteRT models on this machine's processor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantbench.backends.litert.interpreter import LiteRTModel, model_file
from quantbench.protocols import Facts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from quantbench.core.settings import Machine


class LiteRTRunner:
    """One `.tflite` file (`quantbench/litert.py` says how it is fed and read)."""

    tools = ("ai-edge-litert",)
    devices = ("cpu",)

    @staticmethod
    def variant(machine: Machine) -> str:
        """One device, and every type is the artifact's own."""
        del machine
        return "cpu"

    def __init__(self, folder: Path, machine: Machine) -> None:
        """Open the one `.tflite` file in `folder`.

        Raises:
            PredictionError: there is not one, or the interpreter cannot load it.
        """
        self._threads = machine.threads
        self._model = LiteRTModel(model_file(folder), machine.threads)

    def predict(self, prepared: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """One inference: float input of the model's shape to float outputs by name.

        Raises:
            PredictionError: the shape does not fit, or the interpreter failed.
        """
        return self._model(prepared)

    def predict_all(
        self, prepared: Iterable[NDArray[np.float32]]
    ) -> Iterator[dict[str, NDArray[np.float32]]]:
        """One by one: batches of one are what an edge device runs."""
        return map(self.predict, prepared)

    def facts(self) -> Facts:
        """Threads, delegation, bytes of the model file."""
        delegation = self._model.delegation()
        return Facts(
            threads=self._threads,
            device="cpu",
            delegate=delegation.pop("delegate"),
            weights_bytes=self._model.path.stat().st_size,
            kernel="LiteRT",
            more=delegation,
        )

    def close(self) -> None:
        """Drop the interpreter."""
        self._model.close()
