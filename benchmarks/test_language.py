"""The language study: SmolLM2-135M under GPTQ and GGUF, on LAMBADA under their alternatives too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from quantbench import Case, Scheme, cases, non_inferior
from quantbench.catalog.language_models import GGUF_FIRST, GGUF_SCHEMES, LANGUAGE_SCHEMES

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_benchmark.fixture import BenchmarkFixture

    from quantbench import Evaluation
    from quantbench.protocols import Runner
    from quantbench.study import Device

TWO_BITS = {"gptq_int2_g64": "two bits a weight destroy 135 million parameters"}
THREE_BITS = {"gptq_int3_g64": "three bits a weight cost two thirds of the right answers"}
# Bits for each layer, 4.59 on average: what a person would still ship.
RECIPE = Path(__file__).parent / "recipes" / "smollm2_135m_instruct-gptq_mixed_g64-lambada.json"
MIXED = replace(Scheme.parse("gptq_mixed_g64"), recipe=str(RECIPE))


def study(device: Device) -> list[Case]:
    """The same on a processor and, where there is one, on a GPU."""
    model = "smollm2_135m_instruct"
    gguf = [  # on a processor: what people run there
        *cases(model, schemes=GGUF_FIRST, datasets=["kjv"]),
        *cases(model, schemes=GGUF_SCHEMES, datasets=["lambada"]),
    ]
    return [
        *(gguf if device == "cpu" else []),
        *cases(model, datasets=["kjv"], known_failures=TWO_BITS, device=device),
        *cases(
            model,
            schemes=LANGUAGE_SCHEMES,
            datasets=["lambada"],
            known_failures=TWO_BITS | THREE_BITS,
            device=device,
        ),
        *cases(model, schemes=[MIXED], datasets=["lambada"], device=device),
    ]


# What a width may cost, in accuracy: four bits are chosen knowing that they lose something. On
# LAMBADA, which is harder, more; these are what its 1,000 passages can decide.
MARGINS = {
    "kjv": {32: 0.03, 16: 0.03, 8: 0.03, 4: 0.10, 2: 0.10},
    "lambada": {32: 0.03, 8: 0.05, 4: 0.12, 3: 0.12, 2: 0.12},
}
GGUF_MARGINS = {32: 0.02, 16: 0.02, 8: 0.02, 6: 0.02, 5: 0.06, 4: 0.10, 2: 0.12}
MIXED_MARGIN = 0.02  # what its recipe is for


@pytest.mark.parametrize("case", [*study("cpu"), *study("cuda")], ids=str)
class TestSmolLM2:
    def test_latency(self, quantized: Runner, sample: object, benchmark: BenchmarkFixture) -> None:
        benchmark(quantized.predict, sample)

    def test_decoding(self, decoding: Callable[[], None], benchmark: BenchmarkFixture) -> None:
        benchmark.pedantic(decoding, rounds=5)

    def test_last_word(self, case: Case, evaluation: Evaluation, reference: Evaluation) -> None:
        margins = MARGINS[case.dataset.name]
        if case.scheme.backend == "llamacpp" and case.dataset.name == "lambada":
            margins = GGUF_MARGINS
        margin = margins[case.scheme.bits]
        if case.scheme == MIXED:
            margin = MIXED_MARGIN
        assert non_inferior(evaluation, reference, metric="accuracy", margin=margin)
