"""COCO detectors of one float model each under LiteRT, ONNX Runtime and OpenVINO.

The float cases of the other runtimes are judged against LiteRT's too: what differs there is the
runtime's own, and not quantization's.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from quantbench import Case, Scheme, cases, non_inferior
from quantbench.catalog.runtimes import RUNTIME_SCHEMES

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from quantbench import Evaluation
    from quantbench.protocols import Runner

MARGIN = 0.05  # differences that some hundred images can decide
RECIPES = Path(__file__).parent / "recipes"
LITERT = ("float32", "int8_dynamic", "int8_static")
MENDED = ("int8_mended", "ort_int8_mended", "ov_int8_mended")  # where plain int8 collapses


def mended(model: str) -> list[Scheme]:
    """The mended schemes of a model whose recipes are committed."""
    return [
        replace(Scheme.parse(name), recipe=str(path))
        for name in MENDED
        if (path := RECIPES / f"{model}-{name}-coco.json").is_file()
    ]


def study(name: str, known_failures: dict[str, str] | None = None) -> list[Case]:
    """All of the model's cases under three runtimes, its mended ones last."""
    schemes: list[str | Scheme] = [*LITERT, *RUNTIME_SCHEMES, *mended(name)]
    return cases(name, schemes=schemes, known_failures=known_failures)


# As `quantbench diagnose --quick` tells it.
OUTLIERS = "a few outliers set the range of early layers: the rest keeps 6 to 9 of 255 levels"
ONE_SCALE = "one scale for all weights of a depthwise convolution"
YOLOX = {
    **dict.fromkeys(("int8_static", "ort_int8_static", "ort_int8_static_percentile"), OUTLIERS),
    "ort_int8_dynamic": ONE_SCALE,
}
CENTERNET = {
    **dict.fromkeys(("int8_static", "ov_int8_static", "ort_int8_static"), OUTLIERS),
    **dict.fromkeys(("ort_int8_static_percentile", "ort_int8_static_nncf"), OUTLIERS),
    "ort_int8_dynamic": ONE_SCALE,
}
# What some hundred images cannot decide at five points.
MARGINS = {"centernet_mobilenetv3-ov_int8_static_mixed-coco": 0.08}
CASES = [
    *study("yolox_nano", YOLOX),
    *study("nanodet_416"),
    *study("centernet_mobilenetv3", CENTERNET),
]


@pytest.mark.parametrize("case", CASES, ids=str)
class TestRuntimes:
    def test_latency(self, quantized: Runner, sample: object, benchmark: BenchmarkFixture) -> None:
        benchmark(quantized.predict, sample)

    def test_average_precision(
        self, case: Case, evaluation: Evaluation, reference: Evaluation
    ) -> None:
        margin = MARGINS.get(str(case), MARGIN)
        assert non_inferior(evaluation, reference, metric="AP", margin=margin)
