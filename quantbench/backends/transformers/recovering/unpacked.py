"""A quantized checkpoint as a model that can be trained through: its own weights, unpacked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from quantbench.backends.transformers.dense import dense_model
from quantbench.backends.transformers.quantizers.gptq_mixed import stored_layers

if TYPE_CHECKING:
    from pathlib import Path


def unpacked_model(folder: Path, dtype: Any, device: str) -> tuple[Any, list[str]]:
    """The model in a float type, and the names of its quantized layers.

    Args:
        folder: of a GPTQ or bitsandbytes checkpoint.
        dtype: torch's.
        device: torch's.

    Raises:
        ValueError: nothing in it is quantized.
    """
    config = json.loads((folder / "config.json").read_text())
    if config["quantization_config"]["quant_method"] == "gptq":
        model, names = dense_model(folder, dtype, device), list(stored_layers(folder))
    else:
        model, names = _without_bitsandbytes(folder, dtype, device)
    if not names:
        raise ValueError("no layer of the checkpoint is quantized")
    return model.to(dtype).eval(), names


def _without_bitsandbytes(folder: Path, dtype: Any, device: str) -> tuple[Any, list[str]]:
    from transformers import AutoModelForCausalLM

    packed = AutoModelForCausalLM.from_pretrained(
        folder, device_map=device, use_safetensors=True, trust_remote_code=False
    )
    names = [n for n, m in packed.named_modules() if type(m).__module__.startswith("bitsandbytes")]
    return packed.dequantize(dtype), names
