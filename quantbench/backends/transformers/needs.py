"""What work under transformers takes: bytes by its formats, the rest as `rates.json` has it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from quantbench.backends.transformers.architectures import ARCHITECTURES
from quantbench.backends.transformers.detectors import DETECTORS
from quantbench.measure.needs import Rated
from quantbench.measure.rates import FILE
from quantbench.study import Weights

if TYPE_CHECKING:
    from quantbench.study import Scheme

_EMBEDDING_BITS, _SCALE_BITS = 16, 16
_WIDTHS = {"nf4": 4.5}
# NF4 has a float32 for 64 weights; scales of whole rows weigh next to nothing. Groups have a
# float16 scale and a zero point each, hqq's as wide.
_PACKED = {"gptq", "autogptq", "gptq_mixed", "hqq", "torchao", "bitsandbytes"}


class TransformersNeeds(Rated):
    """`protocols/needs.py`, of checkpoints."""

    rates = Path(__file__).with_name(FILE)

    def weights(self, architecture: str) -> Weights | None:
        """By the published sizes; the embedding, and a head that is not tied to it, apart."""
        if detector := DETECTORS.get(architecture):
            return Weights(detector.parameters, exact=False) if detector.parameters else None
        shape = ARCHITECTURES.get(architecture)
        if shape is None:
            return None
        table = shape.vocabulary * shape.hidden
        return Weights(
            shape.parameters,
            embedding=table if shape.tied else 2 * table,
            stored_bits=shape.published_bits,
        )

    def artifact_bytes(self, scheme: Scheme, weights: Weights) -> float | None:
        """Linear layers in the scheme's type, embeddings and head in 16 bits.

        The reference is a copy of the float checkpoint. What adapters add to a recovered model
        depends on the shapes of its layers: it is not told.
        """
        if scheme.quantizer == "reference":
            return weights.stored_bytes
        if scheme.quantizer not in _PACKED:
            return None
        bits = _WIDTHS.get(scheme.weights, float(scheme.bits))
        if scheme.group_size is not None:
            zero = _SCALE_BITS if scheme.quantizer == "hqq" else scheme.bits
            bits += (_SCALE_BITS + zero) / scheme.group_size
        return weights.bytes_at(bits, embedding_bits=_EMBEDDING_BITS)
