"""Which extras a case needs."""

from __future__ import annotations

import pytest

from quantbench import cases
from quantbench.run.reach import extras_of


@pytest.mark.parametrize(
    ("model", "scheme", "extras"),
    [
        ("nanodet_416", "float32", {"detection", "litert"}),
        ("nanodet_416", "ov_float32", {"detection", "litert", "openvino"}),
        ("yolox_nano", "float32", {"detection", "litert", "onnxruntime"}),
        ("yolox_nano", "ort_int8_static", {"detection", "onnxruntime"}),
        ("yolox_nano", "ov_int8_static", {"detection", "onnxruntime", "openvino"}),
    ],
)
def test_importers_bring_the_extra_of_their_backend(
    model: str, scheme: str, extras: set[str]
) -> None:
    """An ONNX file is checked by ONNX Runtime, whatever runs it."""
    (case,) = cases(model, schemes=[scheme])
    assert extras_of(case) == extras
