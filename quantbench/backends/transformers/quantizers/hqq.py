"""Weights rounded without calibration, by hqq (Badri and Shaji, "HQQ", 2023)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from quantbench.backends.transformers.quantizers.checkpoints import copy_tokenizer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from quantbench.study import Scheme


class HQQQuantizer:
    """`hqq_int4_g64` and the like: zero points by half-quadratic optimisation, no calibration.

    transformers 5.23 neither quantizes with hqq nor reads what it wrote (it leaves the layers
    random, without an error), so the library is used directly; `quantbench/hqq.py` reads it back.
    """

    tools = ("hqq", "torch", "transformers")
    version = 1
    calibrated = False

    def build(
        self, float_model: Path, scheme: Scheme, samples: Sequence[Any], folder: Path
    ) -> Mapping[str, Any]:
        """Write config, tokenizer and packed weights, with `runner.json` to say what they are."""
        del samples
        import torch
        from hqq.core.quantize import BaseQuantizeConfig, HQQLinear
        from safetensors.torch import save_file
        from transformers import AutoModelForCausalLM

        from quantbench.backends.transformers.hqq_files import COMPUTE, replace_linears

        compute = getattr(torch, COMPUTE)
        config = BaseQuantizeConfig(nbits=scheme.bits, group_size=scheme.group_size, axis=1)
        model = AutoModelForCausalLM.from_pretrained(
            float_model, dtype=compute, use_safetensors=True, trust_remote_code=False
        )
        replace_linears(
            model,
            lambda layer: HQQLinear(layer, config, compute_dtype=compute, device="cpu"),
        )
        tensors = model.state_dict()
        if model.config.tie_word_embeddings:
            del tensors["lm_head.weight"]
        contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
        save_file(contiguous, folder / "model.safetensors", {"format": "pt"})
        model.config.save_pretrained(folder)
        (folder / "runner.json").write_text(json.dumps({"dtype": COMPUTE, "packed_by": "hqq"}))
        copy_tokenizer(float_model, folder)
        return {"compute": COMPUTE}
