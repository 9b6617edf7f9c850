"""Checkpoints packed by hqq (`quantizers/hqq.py`), which transformers cannot read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COMPUTE = "bfloat16"


def load_hqq(folder: Path, device: str) -> Any:
    """The model with its packed layers.

    Raises:
        ValueError: a tensor is missing, or one is there that no layer has.
    """
    import torch
    from hqq.core.quantize import HQQLinear
    from safetensors.torch import load_file
    from transformers import AutoConfig, AutoModelForCausalLM

    compute = getattr(torch, COMPUTE)
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    model = AutoModelForCausalLM.from_config(config, dtype=compute)
    replace_linears(model, lambda _: HQQLinear(None, None, compute_dtype=compute, device=device))
    found = model.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
    tied = {"lm_head.weight"} if config.tie_word_embeddings else set()
    if wrong := (set(found.missing_keys) - tied) | set(found.unexpected_keys):
        raise ValueError(f"tensors that do not fit the configuration: {sorted(wrong)[:3]}")
    model.tie_weights()
    return model.to(device)


def replace_linears(model: Any, make: Callable[[Any], Any]) -> None:
    """Put `make(layer)` in the place of every linear layer but the head."""
    from torch import nn

    for name, layer in list(model.named_modules()):
        if isinstance(layer, nn.Linear) and name != "lm_head":
            parent, _, own = name.rpartition(".")
            setattr(model.get_submodule(parent), own, make(layer))
