"""Weights rounded without calibration, by bitsandbytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quantbench.backends.transformers.quantizers.checkpoints import copy_tokenizer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from quantbench.study import Scheme

# Where arithmetic stays in float: 8-bit rows are multiplied in half precision on every device.
_COMPUTE = {"int8": "float16", "nf4": "bfloat16"}


class BitsAndBytesQuantizer:
    """`bnb_int8`: LLM.int8(), a scale a row, outliers in float (Dettmers et al., 2022).

    `bnb_nf4`: four bits on the quantiles of a normal distribution, a scale every 64 weights
    (QLoRA: Dettmers et al., 2023). Both leave embeddings and the head as they are.
    """

    tools = ("bitsandbytes", "torch", "transformers")
    version = 1
    calibrated = False

    def build(
        self, float_model: Path, scheme: Scheme, samples: Sequence[Any], folder: Path
    ) -> Mapping[str, Any]:
        """Write the packed checkpoint with its tokenizer; nothing is calibrated."""
        del samples
        import torch
        from transformers import AutoModelForCausalLM, BitsAndBytesConfig

        compute = getattr(torch, _COMPUTE[scheme.weights])
        config = (
            BitsAndBytesConfig(load_in_8bit=True)
            if scheme.weights == "int8"
            else BitsAndBytesConfig(
                load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=compute
            )
        )
        model = AutoModelForCausalLM.from_pretrained(
            float_model,
            quantization_config=config,
            device_map="cpu",
            dtype=compute,
            use_safetensors=True,
            trust_remote_code=False,
        )
        model.save_pretrained(folder)
        copy_tokenizer(float_model, folder)
        return {"compute": _COMPUTE[scheme.weights]}
