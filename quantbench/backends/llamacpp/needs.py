"""What work under llama.cpp takes: bytes by its formats, the rest as `rates.json` has it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from quantbench.measure.needs import Rated
from quantbench.measure.rates import FILE

if TYPE_CHECKING:
    from quantbench.study import Scheme, Weights

# Bits a weight of Llama-3.1-8B in each file type, as llama.cpp's tools/quantize/README.md lists
# them; of those that it does not list, what their blocks hold (ggml-common.h). Rows that fit no
# block are stored wider: a model with such rows is larger.
_BITS = {
    "float32": 32.0,
    "float16": 16.0,
    "bfloat16": 16.0,
    "q8_0": 8.5,
    "q6_k": 6.56,
    "q5_k_m": 5.70,
    "q5_k_s": 5.57,
    "q5_1": 6.0,
    "q5_0": 5.5,
    "q4_k_m": 4.89,
    "q4_k_s": 4.67,
    "q4_1": 5.0,
    "q4_0": 4.5,
    "iq4_nl": 4.68,
    "iq4_xs": 4.46,
    "q3_k_l": 4.30,
    "q3_k_m": 4.00,
    "q3_k_s": 3.64,
    "iq3_m": 3.76,
    "iq3_s": 3.66,
    "iq3_xs": 3.50,
    "iq3_xxs": 3.25,
    "q2_k": 3.16,
    "q2_k_s": 2.97,
    "iq2_m": 2.93,
    "iq2_s": 2.74,
    "iq2_xs": 2.59,
    "iq2_xxs": 2.38,
    "iq1_m": 2.15,
    "iq1_s": 2.00,
}


class LlamaCppNeeds(Rated):
    """`protocols/needs.py`, of llama.cpp."""

    rates = Path(__file__).with_name(FILE)

    def artifact_bytes(self, scheme: Scheme, weights: Weights) -> float | None:
        """By the file type's own mixture; as shipped, the files as they came."""
        if scheme.weights == "as shipped":
            return weights.stored_bytes
        bits = _BITS.get(scheme.weights)
        return None if bits is None else weights.bytes_at(bits)
