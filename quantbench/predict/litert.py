"""LiteRT models, fed and read in float whatever they compute in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.errors import PredictionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray


class LiteRTRunner:
    """One `.tflite` file in an interpreter.

    Integer inputs are `round(x / scale) + zero_point`, saturated; integer outputs are
    `(q - zero_point) * scale`, each with its own tensor's parameters (LiteRT 8-bit
    quantization specification). Outputs are named by the model's signature.
    """

    tools = ("ai-edge-litert",)

    @staticmethod
    def variant() -> str:
        """One device, and every type is the artifact's own."""
        return "cpu"

    def __init__(self, folder: Path, threads: int) -> None:
        """Open `model.tflite` in `folder`.

        Raises:
            PredictionError: the interpreter cannot load the file.
        """
        from ai_edge_litert.interpreter import Interpreter

        self._threads = threads
        self._path = folder / "model.tflite"
        try:
            self._interpreter = Interpreter(str(self._path), num_threads=threads)
            self._interpreter.allocate_tensors()
            signature = self._interpreter.get_signature_runner()
        except (ValueError, RuntimeError) as error:
            raise PredictionError(
                "the LiteRT interpreter cannot load the model",
                where=self._path,
                got=error,
                remedy="an op that this runtime lacks, or a file that is no flatbuffer",
            ) from error
        (self._input,) = signature.get_input_details().values()
        self._outputs = signature.get_output_details()

    def predict(self, prepared: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """One inference: float input of the model's shape to float outputs by name.

        Raises:
            PredictionError: the shape does not fit, or the interpreter failed.
        """
        try:
            self._interpreter.set_tensor(self._input["index"], quantize(prepared, self._input))
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            raise PredictionError(
                "the LiteRT interpreter failed",
                where=self._path,
                expected=f"input {list(self._input['shape'])}",
                got=f"{error} (input was {list(np.shape(prepared))})",
            ) from error
        return {
            name: dequantize(self._interpreter.get_tensor(detail["index"]), detail)
            for name, detail in self._outputs.items()
        }

    def predict_all(
        self, prepared: Iterable[NDArray[np.float32]]
    ) -> Iterator[dict[str, NDArray[np.float32]]]:
        """One by one: batches of one are what an edge device runs."""
        return map(self.predict, prepared)

    def facts(self) -> Mapping[str, Any]:
        """Threads, delegate, bytes of the model file.

        `ops` counts the nodes that the interpreter lists, those inside the delegate and the
        `delegate_partitions` that stand for them included: one partition took the whole graph.
        """
        ops = [op["op_name"] for op in self._interpreter._get_ops_details()]  # noqa: SLF001
        delegated = ops.count("DELEGATE")
        return {
            "threads": self._threads,
            "delegate": "XNNPACK" if delegated else "none",
            "ops": len(ops),
            "delegate_partitions": delegated,
            "weights_bytes": self._path.stat().st_size,
            "kernel": "LiteRT",
        }

    def close(self) -> None:
        """Drop the interpreter."""
        del self._interpreter


def quantize(values: NDArray[np.float32], detail: Mapping[str, Any]) -> NDArray[Any]:
    """Real values as the tensor stores them; float tensors pass through."""
    scale, zero_point = detail["quantization"]
    if scale == 0:
        return values.astype(detail["dtype"], copy=False)
    limits = np.iinfo(detail["dtype"])
    stored = np.rint(values / np.float32(scale)) + zero_point
    return np.asarray(np.clip(stored, limits.min, limits.max), dtype=detail["dtype"])


def dequantize(stored: NDArray[Any], detail: Mapping[str, Any]) -> NDArray[np.float32]:
    """Stored values as real ones; float tensors pass through."""
    scale, zero_point = detail["quantization"]
    if scale == 0:
        return stored.astype(np.float32, copy=False)
    return np.asarray((stored.astype(np.float32) - zero_point) * np.float32(scale))
