"""OpenVINO models on this machine's processor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantbench.backends.openvino.files import model_file
from quantbench.backends.openvino.session import PRECISION, OpenVinoModel
from quantbench.measure.processor import instruction_sets, int8_saturates
from quantbench.protocols import Facts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from quantbench.core.settings import Machine


class OpenVinoRunner:
    """`model.xml` and `model.bin` (`session.py` says how they are fed and read)."""

    tools = ("openvino",)
    devices = ("cpu",)

    @staticmethod
    def variant(machine: Machine) -> str:
        """The device, and whether its int8 products saturate."""
        saturates = machine.device == "cpu" and int8_saturates()
        return "cpu, int8 saturates" if saturates else machine.device

    def __init__(self, folder: Path, machine: Machine) -> None:
        """Compile the model in `folder`.

        Raises:
            PredictionError: there is not one, or OpenVINO cannot compile it.
        """
        self._path, self._threads = model_file(folder), machine.threads
        self._model: OpenVinoModel | None = OpenVinoModel(self._path, machine.threads)

    def predict(self, prepared: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """One inference: float input of the model's shape to float outputs by name.

        Raises:
            PredictionError: the shape does not fit, or OpenVINO failed.
        """
        return self._opened(prepared)

    def predict_all(
        self, prepared: Iterable[NDArray[np.float32]]
    ) -> Iterator[dict[str, NDArray[np.float32]]]:
        """One by one: batches of one are what an edge device runs."""
        return map(self._opened, prepared)

    def facts(self) -> Facts:
        """Threads, what is computed in what type by which kernels, bytes of both files."""
        return Facts(
            threads=self._threads,
            device="cpu",
            weights_bytes=sum(
                path.stat().st_size for path in (self._path, self._path.with_suffix(".bin"))
            ),
            kernel="OpenVINO",
            more={
                "inference_precision": PRECISION,
                "kernels": self._opened.kernels(),
                "instruction_sets": list(instruction_sets()),
            },
        )

    @property
    def _opened(self) -> OpenVinoModel:
        if self._model is None:
            raise ValueError("the runner is closed")
        return self._model

    def close(self) -> None:
        """Drop the compiled model."""
        self._model = None
