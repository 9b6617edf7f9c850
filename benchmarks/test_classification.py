"""The classification study: a digits classifier under four LiteRT schemes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quantbench import cases, non_inferior

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from quantbench import Evaluation
    from quantbench.protocols import Runner


@pytest.mark.parametrize("case", cases("digits_classifier"), ids=str)
class TestDigits:
    def test_latency(self, quantized: Runner, sample: object, benchmark: BenchmarkFixture) -> None:
        benchmark(quantized.predict, sample)

    def test_top1(self, evaluation: Evaluation, reference: Evaluation) -> None:
        assert non_inferior(evaluation, reference, metric="top1", margin=0.02)
