"""The study of language models under GPTQ: as it was published, corrected, and what it gave up on.

    pytest benchmarks/published/test_language_models.py --benchmark-json out.json

Checkpoints and LAMBADA come from their hub. Its own tool wants an environment of its own and a GPU
(`tox -e autogptq`). `--quant-random-weights on` runs the same architectures without their weights:
sizes and times alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.published.figures import LAMBADA_5000, LAMBADA_ALL, anchored
from quantbench import Case, cases, non_inferior
from quantbench.catalog.language_models import GGUF_FIRST

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_benchmark.fixture import BenchmarkFixture

    from quantbench import Evaluation
    from quantbench.protocols import Runner

STUDIED = ("llama_3.2_3b", "smollm_135m")
ABANDONED = "llama_2_7b"  # "took up too much space"
TOOL = tuple(f"autogptq_int{bits}_g64" for bits in (8, 4, 2))
GPTQ = tuple(f"gptq_int{bits}_g64" for bits in (8, 4, 2))
OTHERS = ("bnb_int8", "bnb_nf4", "torchao_int8", "hqq_int4_g64", *GGUF_FIRST)
MARGINS = {8: 0.02, 4: 0.05, 2: 0.05}  # what may be lost, in accuracy, by bits; float: none
AS_PUBLISHED = [
    case
    for name in STUDIED
    for case in cases(anchored(name), schemes=("reference", *TOOL), datasets=[LAMBADA_5000])
]
CORRECTED = [
    case
    for name in (*STUDIED, ABANDONED)
    for case in cases(
        anchored(name), schemes=("reference", *TOOL, *GPTQ, *OTHERS), datasets=[LAMBADA_ALL]
    )
]


@pytest.mark.parametrize("case", AS_PUBLISHED, ids=str)
class TestAsPublished:
    """Its 5,000 passages, tool, group size and calibration; shares at k = 1 and 5, not judged."""

    def test_latency(self, quantized: Runner, sample: object, benchmark: BenchmarkFixture) -> None:
        benchmark(quantized.predict, sample)

    def test_among_the_likeliest(self, evaluation: Evaluation) -> None:
        first, fifth = (evaluation.estimate(name).value for name in ("top1", "top5"))
        assert 0 <= first <= fifth <= 1


@pytest.mark.parametrize("case", CORRECTED, ids=str)
class TestCorrected:
    """All passages, whole words, a margin, paired verdicts; other tools beside the study's."""

    def test_latency(self, quantized: Runner, sample: object, benchmark: BenchmarkFixture) -> None:
        benchmark(quantized.predict, sample)

    def test_decoding(self, decoding: Callable[[], None], benchmark: BenchmarkFixture) -> None:
        benchmark.pedantic(decoding, rounds=3)

    def test_last_word(self, case: Case, evaluation: Evaluation, reference: Evaluation) -> None:
        margin = MARGINS.get(case.scheme.bits, 0.02)
        assert non_inferior(evaluation, reference, metric="accuracy", margin=margin)
