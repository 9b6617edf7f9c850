"""Mending a case of ONNX Runtime's (`quantbench/diagnosis/mending/` is the procedure)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from quantbench.backends.onnxruntime.check import float_graph
from quantbench.backends.onnxruntime.diagnosis.speed import profile
from quantbench.backends.onnxruntime.mending.observed import Observed
from quantbench.backends.onnxruntime.quantizers.prepared import prepared_content
from quantbench.backends.onnxruntime.session import opened
from quantbench.diagnosis.mending.clock import Timing
from quantbench.diagnosis.mending.mending import Mender

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


def _read(float_model: Path, prepared: Sequence[NDArray[Any]]) -> bytes:
    del prepared
    return prepared_content(float_graph(float_model, "ort_int8_mended"))


def _write(content: bytes, folder: Path) -> None:
    (folder / "model.onnx").write_bytes(content)


mended = Mender(_read, partial(opened, threads=1), Observed, Timing(opened, _write, profile))
