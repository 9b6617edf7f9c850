"""LiteRT's two ways to run a model: `Interpreter`, which quantbench uses, over `CompiledModel`.

    python benchmarks/peers/litert_apis.py DATA [MODELS]

The same files on two threads, in turn; NanoDet and CenterNet-MobileNetV3 in float32, dynamic int8
and full int8 (DATA has COCO images to calibrate with). Ends where any answer differs. A ratio above
1 says that `CompiledModel` is faster.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench import cases
from quantbench.backends.litert.interpreter import LiteRTModel, dequantize, model_file, quantize
from quantbench.core.settings import Settings
from quantbench.measure.rounds import medians_in_turn_ns
from quantbench.run.session import Session

if TYPE_CHECKING:
    from numpy.typing import NDArray

MODELS = "nanodet_416,centernet_mobilenetv3"
SCHEMES = ("float32", "int8_dynamic", "int8_static")
THREADS, ROUNDS = 2, 60


class Compiled:
    """The other API, fed and read as `LiteRTModel` is."""

    def __init__(self, path: Path, known: LiteRTModel) -> None:
        """Open a file; `known` says how its tensors are stored."""
        from ai_edge_litert.compiled_model import (
            CompiledModel,
            CpuOptions,
            HardwareAccelerator,
            Options,
        )

        options = Options(
            hardware_accelerators=HardwareAccelerator.CPU,
            cpu_options=CpuOptions(num_threads=THREADS),
        )
        self._model = CompiledModel.from_file(str(path), options=options)
        self._input = known.input
        (signature,) = self._model.get_signature_list()
        self._outputs = list(self._model.get_output_tensor_details(signature))
        self._details = known.outputs
        self._fed = self._model.create_input_buffers(0)
        self._said = self._model.create_output_buffers(0)

    def __call__(self, values: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """One inference."""
        self._fed[0].write(quantize(values, self._input))
        self._model.run_by_index(0, self._fed, self._said)
        found = {}
        for name, buffer in zip(self._outputs, self._said, strict=True):
            detail = self._details[name]
            stored = buffer.read(int(np.prod(detail["shape"])), np.dtype(detail["dtype"]).type)
            found[name] = dequantize(stored.reshape(detail["shape"]), detail)
        return found


def compared(session: Session, case: Any) -> float:
    """Time of the interpreter over the other's."""
    path = model_file(session.artifact(case).path)
    model, sample = LiteRTModel(path, THREADS), session.sample(case)
    other = Compiled(path, model)
    meant, said = model(sample), other(sample)
    if any(not np.array_equal(meant[name], said[name]) for name in meant):
        raise SystemExit(f"{case}: the two APIs answer differently")
    one, two = medians_in_turn_ns([partial(model, sample), partial(other, sample)], ROUNDS)
    print(f"{case}: Interpreter {one / 1e6:.2f} ms, CompiledModel {two / 1e6:.2f} ms")  # noqa: T201
    return one / two


def main(data: str, models: str = MODELS) -> None:
    """Print a line a model, then the geometric mean of the ratios."""
    session = Session(Settings(data=Path(data), threads=THREADS))
    studied = [case for name in models.split(",") for case in cases(name, schemes=SCHEMES)]
    ratios = [compared(session, case) for case in studied]
    print(f"ratio: {np.exp(np.mean(np.log(ratios))):.2f}")  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
