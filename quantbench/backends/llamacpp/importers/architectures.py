"""Families of checkpoints as GGUF describes them: keys, names of tensors, order of rows.

Layout: "GGUF" in the ggml project's documentation. What a family's tensors are called is
`gguf.tensor_mapping`'s to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quantbench.errors import BuildError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Family:
    """How checkpoints of a class become GGUF.

    Attributes:
        architecture: as GGUF and llama.cpp call it.
        interleaved: rotary positions turn neighbouring rows of a head; transformers' checkpoints
            hold each head's even rows before its odd ones.
    """

    architecture: str
    interleaved: bool = False


FAMILIES = {
    "LlamaForCausalLM": Family("llama", interleaved=True),
    "MistralForCausalLM": Family("llama", interleaved=True),
    "Qwen2ForCausalLM": Family("qwen2"),
    "Qwen3ForCausalLM": Family("qwen3"),
}
_SCALED = ("default", "linear", "llama3", "yarn")
# What YaRN has here, and llama.cpp by itself (Peng et al., 2023); another value has no key here.
_YARN = {"attention_factor": (None,), "beta_fast": (None, 32), "beta_slow": (None, 1)}
_YARN |= {"mscale": (None,), "mscale_all_dim": (None,), "truncate": (None, True)}


def family_of(config: Any) -> Family:
    """The family of a configuration of transformers'.

    Raises:
        BuildError: none that is known, or with a feature that GGUF has no key for here.
    """
    names = config.architectures or ["(none)"]
    if names[0] not in FAMILIES:
        raise BuildError(
            "no way from this architecture to GGUF",
            expected=", ".join(FAMILIES),
            got=names[0],
            remedy="write the file with llama.cpp's convert_hf_to_gguf.py and give it as it is: "
            'Model(format="gguf")',
        )
    family = FAMILIES[names[0]]
    strange = {
        "quantized weights": getattr(config, "quantization_config", None),
        "a sliding window": _window(config),
        "biases of the feed-forward part": getattr(config, "mlp_bias", False),
        f"activation {config.hidden_act!r}": config.hidden_act not in {"silu", "swish"},
        f"scaled positions {_rope(config)['rope_type']!r}": _rope(config)["rope_type"]
        not in _SCALED,
        f"positions with {', '.join(_special(config))}": _special(config),
    }
    if found := [what for what, there in strange.items() if there]:
        raise BuildError(
            f"a checkpoint of {names[0]} with {', '.join(found)} cannot be written as GGUF here",
            remedy="write the file with llama.cpp's convert_hf_to_gguf.py and give it as it is: "
            'Model(format="gguf")',
        )
    return family


def _window(config: Any) -> Any:
    """A sliding window that some layers use."""
    kinds = getattr(config, "layer_types", None) or []
    if kinds:
        return any(kind != "full_attention" for kind in kinds)
    return getattr(config, "sliding_window", None) if config.model_type == "mistral" else None


def _rope(config: Any) -> dict[str, Any]:
    """Rotary positions: `rope_type`, `rope_theta` and what scales them."""
    return {"rope_type": "default", **config.rope_parameters}


def _special(config: Any) -> list[str]:
    """Settings of scaled positions that are not written here: llama.cpp would take its own."""
    rope = _rope(config)
    if rope["rope_type"] != "yarn":
        return []
    return [name for name, usual in _YARN.items() if rope.get(name) not in usual]


def head_size(config: Any) -> int:
    """Numbers of one head."""
    return int(
        getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    )


def write_keys(writer: Any, config: Any) -> None:
    """What llama.cpp must know of a model besides its weights."""
    rope, size = _rope(config), head_size(config)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads or config.num_attention_heads)
    writer.add_key_length(size)
    writer.add_value_length(size)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(float(rope["rope_theta"]))
    writer.add_rope_dimension_count(size)
    writer.add_vocab_size(config.vocab_size)
    if rope["rope_type"] in {"linear", "yarn"}:
        from gguf import RopeScalingType

        kind = {"linear": RopeScalingType.LINEAR, "yarn": RopeScalingType.YARN}[rope["rope_type"]]
        writer.add_rope_scaling_type(kind)
        writer.add_rope_scaling_factor(float(rope["factor"]))
        if original := rope.get("original_max_position_embeddings"):
            writer.add_rope_scaling_orig_ctx_len(int(original))


def rope_factors(config: Any) -> Tensor | None:
    """What divides each frequency of rotary positions, [head size / 2]; None where nothing does.

    Only Llama 3's scaling is stored so; transformers computes it.
    """
    rope = _rope(config)
    if rope["rope_type"] != "llama3":
        return None
    import torch
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
    size = head_size(config)
    plain = rope["rope_theta"] ** -(torch.arange(0, size, 2, dtype=torch.float64) / size)
    return (plain / scaled.double()).float()


def reordered(name: str, weight: Tensor, family: Family, config: Any) -> Tensor:
    """A tensor as GGUF holds it: rows of queries and keys in pairs, where the family turns so."""
    heads = {
        "q_proj": config.num_attention_heads,
        "k_proj": config.num_key_value_heads or config.num_attention_heads,
    }
    kind = name.split(".")[-2] if "." in name else ""
    if not family.interleaved or kind not in heads:
        return weight
    n = heads[kind]
    half = weight.shape[0] // n // 2
    return weight.reshape(n, 2, half, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)
