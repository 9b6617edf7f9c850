"""Language models without their weights: the hyper-parameters that their authors published.

Light to import: the names stand in the backend's description, and what is computed before a model
is fetched or built starts from these numbers.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Scaled:
    """Rotary positions stretched by frequency (Llama 3.1, arXiv 2407.21783).

    Attributes:
        original: context that the positions were trained on.
    """

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original: int


@dataclass(frozen=True, kw_only=True)
class Llama:
    """A decoder of the Llama family (Touvron et al., arXiv 2302.13971), by its published sizes.

    Attributes:
        parameters: how many weights its authors' checkpoint has; what is made must have as many.
        hidden: width of the residual stream.
        intermediate: width of the gated feed-forward part.
        layers: blocks of attention and feed-forward.
        heads: of the queries.
        kv_heads: of keys and values.
        vocabulary: rows of the embedding.
        context: the longest text, in tokens.
        rope_theta: base of the rotary positions' wavelengths.
        norm_eps: of the root mean square norms.
        tied: the head is the embedding.
        scaled: how rotary positions are stretched, None where they are not.
        bos: token id in front of a text.
        eos: token id at its end.
        adds_bos: the tokenizer puts one in front by itself.
        published_bits: of one weight in the published checkpoint; None where this project has not
            seen it said.
    """

    parameters: int
    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    context: int
    rope_theta: float
    norm_eps: float = 1e-5
    tied: bool
    scaled: Scaled | None = None
    bos: int
    eos: int
    adds_bos: bool
    published_bits: int | None = None

    def config(self) -> dict[str, Any]:
        """What transformers' `LlamaConfig` takes."""
        rope: dict[str, Any] = {"rope_type": "default", "rope_theta": self.rope_theta}
        if self.scaled is not None:
            stretched = asdict(self.scaled)
            stretched["original_max_position_embeddings"] = stretched.pop("original")
            rope |= {"rope_type": "llama3", **stretched}
        return {
            "vocab_size": self.vocabulary,
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "max_position_embeddings": self.context,
            "rms_norm_eps": self.norm_eps,
            "tie_word_embeddings": self.tied,
            "rope_parameters": rope,
            "bos_token_id": self.bos,
            "eos_token_id": self.eos,
        }


_SMOLLM = Llama(
    parameters=134_515_008,
    hidden=576,
    intermediate=1536,
    layers=30,
    heads=9,
    kv_heads=3,
    vocabulary=49_152,
    context=2048,
    rope_theta=10_000.0,
    tied=True,
    bos=0,
    eos=0,
    adds_bos=False,
)
ARCHITECTURES = {
    "llama_3.2_3b": Llama(
        parameters=3_212_749_824,
        hidden=3072,
        intermediate=8192,
        layers=28,
        heads=24,
        kv_heads=8,
        vocabulary=128_256,
        context=131_072,
        rope_theta=500_000.0,
        tied=True,
        scaled=Scaled(32.0, 1.0, 4.0, 8192),
        bos=128_000,
        eos=128_001,
        adds_bos=True,
        published_bits=16,
    ),
    "llama_2_7b": Llama(
        parameters=6_738_415_616,
        hidden=4096,
        intermediate=11_008,
        layers=32,
        heads=32,
        kv_heads=32,
        vocabulary=32_000,
        context=4096,
        rope_theta=10_000.0,
        tied=False,
        bos=1,
        eos=2,
        adds_bos=True,
        published_bits=16,
    ),
    "smollm_135m": _SMOLLM,
    "smollm2_135m": replace(_SMOLLM, context=8192, rope_theta=100_000.0, bos=1, eos=2),
    # SmolLM's shape in miniature, to try a study's way in seconds: nobody published it.
    "smollm_tiny": Llama(
        parameters=123_200,
        hidden=64,
        intermediate=192,
        layers=2,
        heads=4,
        kv_heads=2,
        vocabulary=384,
        context=2048,
        rope_theta=10_000.0,
        tied=True,
        bos=0,
        eos=0,
        adds_bos=False,
    ),
}
