"""The language study: SmolLM2-135M under GPTQ at 8, 4 and 2 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quantbench import Case, cases, non_inferior

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from quantbench import Evaluation
    from quantbench.protocols import Runner

CASES = cases(
    "smollm2_135m_instruct",
    known_failures={"gptq_int2_g64": "two bits a weight destroy 135 million parameters"},
)
# What a width may cost, in accuracy: four bits are chosen knowing that they lose something.
MARGINS = {32: 0.03, 8: 0.03, 4: 0.10, 2: 0.10}


@pytest.mark.parametrize("case", CASES, ids=str)
class TestSmolLM2:
    def test_latency(self, quantized: Runner, sample: object, benchmark: BenchmarkFixture) -> None:
        benchmark(quantized.predict, sample)

    def test_last_word(self, case: Case, evaluation: Evaluation, reference: Evaluation) -> None:
        margin = MARGINS[case.scheme.bits]
        assert non_inferior(evaluation, reference, metric="accuracy", margin=margin)
