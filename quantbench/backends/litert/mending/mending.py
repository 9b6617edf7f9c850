"""Mending a case of LiteRT's (`quantbench/diagnosis/mending/` is the procedure)."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantbench.backends.litert.convert import float_file
from quantbench.backends.litert.diagnosis.speed import profile
from quantbench.backends.litert.interpreter import opened
from quantbench.backends.litert.mending.repaired import Repaired
from quantbench.diagnosis.mending.clock import Timing
from quantbench.diagnosis.mending.mending import Mender

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def _read(float_model: Path, prepared: Sequence[NDArray[Any]]) -> bytes:
    with tempfile.TemporaryDirectory() as temporary:
        return float_file(float_model, prepared, Path(temporary)).read_bytes()


def _write(content: bytes, folder: Path) -> None:
    (folder / "model.tflite").write_bytes(content)


mended = Mender(_read, partial(opened, threads=1), Repaired, Timing(opened, _write, profile))
