"""The perplexity study: SmolLM2-135M on chapters of the King James Bible, 60 windows of 512."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quantbench import Case, cases, non_inferior
from quantbench.catalog.language_models import GGUF_FIRST

if TYPE_CHECKING:
    from quantbench import Evaluation

SCHEMES = ("reference", "hqq_int4_g64", *GGUF_FIRST, "gguf_q4_0")
MARGINS = {32: 0.02, 16: 0.02, 8: 0.02, 4: 0.4}  # by what share a width may raise perplexity
CASES = cases("smollm2_135m_instruct", schemes=SCHEMES, datasets=["kjv_text"])


@pytest.mark.parametrize("case", CASES, ids=str)
class TestText:
    def test_perplexity(self, case: Case, evaluation: Evaluation, reference: Evaluation) -> None:
        margin = MARGINS[case.scheme.bits]
        assert non_inferior(evaluation, reference, metric="perplexity_ratio", margin=margin)
