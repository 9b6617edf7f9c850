"""The language study: SmolLM2-135M under GPTQ at 8, 4 and 2 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quantbench import cases, non_inferior

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from quantbench.pipeline import Evaluation
    from quantbench.protocols import Runner

COLLAPSES = {"gptq_int2_g64": "two bits a weight destroy a model of 135 million parameters"}


@pytest.mark.parametrize("case", cases("smollm2_135m_instruct", collapses=COLLAPSES), ids=str)
class TestSmolLM2:
    def test_latency(self, quantized: Runner, sample: object, benchmark: BenchmarkFixture) -> None:
        benchmark(quantized.predict, sample)

    def test_last_word(self, evaluation: Evaluation, reference: Evaluation) -> None:
        assert non_inferior(evaluation, reference, metric="accuracy", margin=0.02)
