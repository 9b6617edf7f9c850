"""COCO detectors under LiteRT, where COCO is at hand (`--quant-data`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quantbench import cases, non_inferior

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from quantbench import Evaluation
    from quantbench.protocols import Runner

# Five points: differences that some hundred images can decide.
MARGIN = 0.05
STATIC = "min-max ranges over hard-swish leave a few levels to the first layers"
CASES = [
    *cases("centernet_mobilenetv3", known_failures={"int8_static": STATIC}),
    *cases("centernet_mobilenetv3_as_shipped", known_failures={"int8_static": STATIC}),
]


@pytest.mark.parametrize("case", CASES, ids=str)
class TestCoco:
    def test_latency(self, quantized: Runner, sample: object, benchmark: BenchmarkFixture) -> None:
        benchmark(quantized.predict, sample)

    def test_average_precision(self, evaluation: Evaluation, reference: Evaluation) -> None:
        assert non_inferior(evaluation, reference, metric="AP", margin=MARGIN)
