"""ONNX Runtime's own preparation of a graph for quantization."""

from __future__ import annotations

import logging
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def prepared_graph(path: Path) -> Iterator[Path]:
    """The model with constants folded, batch normalizations fused, and shapes inferred.

    Symbolic inference is left out: every dimension has its size since the import.
    """
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder, _quiet():
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
        yield prepared


def prepared_content(path: Path) -> bytes:
    """The same, in memory."""
    with prepared_graph(path) as prepared:
        return prepared.read_bytes()


@contextmanager
def _quiet() -> Iterator[None]:
    """The tool warns on the root logger that a model should be prepared, when it is."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(before)
