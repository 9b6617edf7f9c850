"""Runs the classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quantbench.protocols import Facts
from quantbench_linear.storage import read_weights

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from quantbench.core.settings import Machine


class LinearRunner:
    """One matrix product a sample."""

    tools = ("numpy",)
    devices = ("cpu",)

    @staticmethod
    def variant(machine: Machine) -> str:
        """It computes in float64 everywhere."""
        del machine
        return "float64"

    def __init__(self, folder: Path, machine: Machine) -> None:
        """Open an artifact's folder."""
        self._weights, self._weights_bytes = read_weights(folder)
        self._threads = machine.threads

    def predict(self, prepared: NDArray[np.float64]) -> NDArray[np.float64]:
        """A score a class, [classes]."""
        scores: NDArray[np.float64] = self._weights @ prepared
        return scores

    def predict_all(self, prepared: Iterable[Any]) -> Iterator[Any]:
        """One after the other."""
        return map(self.predict, prepared)

    def facts(self) -> Facts:
        """What stands beside a time."""
        return Facts(threads=self._threads, weights_bytes=self._weights_bytes, kernel="numpy")

    def close(self) -> None:
        """Give the weights back."""
        del self._weights
