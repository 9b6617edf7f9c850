"""Weights rounded without calibration, by torchao."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quantbench.backends.transformers.quantizers.checkpoints import copy_tokenizer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from quantbench.study import Scheme


class TorchAOQuantizer:
    """`torchao_int8`: a scale a row, arithmetic in bfloat16; embeddings and head stay as they are.

    Its four-bit layouts need a GPU or kernels that no package index has; what saves without them
    holds a byte a weight, and is no scheme here.
    """

    tools = ("torchao", "torch", "transformers")
    version = 1
    calibrated = False

    def build(
        self, float_model: Path, scheme: Scheme, samples: Sequence[Any], folder: Path
    ) -> Mapping[str, Any]:
        """Write the packed checkpoint with its tokenizer; nothing is calibrated."""
        del samples, scheme
        import torch
        from torchao.quantization import Int8WeightOnlyConfig
        from transformers import AutoModelForCausalLM, TorchAoConfig

        model = AutoModelForCausalLM.from_pretrained(
            float_model,
            quantization_config=TorchAoConfig(Int8WeightOnlyConfig()),
            device_map="cpu",
            dtype=torch.bfloat16,
            use_safetensors=True,
            trust_remote_code=False,
        )
        model.save_pretrained(folder)
        copy_tokenizer(float_model, folder)
        return {"compute": "bfloat16"}
