"""GPTQ by gptqmodel (Frantar et al., "GPTQ", 2022)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from quantbench.backends.transformers.quantizers.checkpoints import copy_tokenizer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from quantbench.data.prompts import Prompt
    from quantbench.study import Scheme


class GPTQQuantizer:
    """Weights rounded one column at a time, the error pushed onto the columns not yet rounded."""

    tools = ("gptqmodel", "torch", "transformers")
    version = 1
    calibrated = True

    def build(
        self,
        float_model: Path,
        scheme: Scheme,
        samples: Sequence[Prompt],
        folder: Path,
    ) -> Mapping[str, Any]:
        """Quantize every linear layer of the decoder; embeddings and head stay as they are."""
        config = {"bits": scheme.bits, "group_size": scheme.group_size}
        return quantize_checkpoint(float_model, config, samples, folder)


def quantize_checkpoint(
    float_model: Path, config: Mapping[str, Any], samples: Sequence[Prompt], folder: Path
) -> dict[str, Any]:
    """Quantize a checkpoint by gptqmodel's own settings; returns facts."""
    # Read by gptqmodel when it is imported: one worker a core, not its default of many.
    os.environ.setdefault("GPTQMODEL_CPU_WORKERS", str(os.cpu_count() or 1))
    import torch
    from gptqmodel import GPTQModel, QuantizeConfig
    from gptqmodel.nn_modules.hooked_linear import STOP_FORWARD_EXCEPTION

    passages = [
        {"input_ids": list(p.tokens), "attention_mask": [1] * len(p.tokens)} for p in samples
    ]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = GPTQModel.load(
        str(float_model), QuantizeConfig(**config), device=device, trust_remote_code=False
    )
    model.quantize(passages, batch_size=4)
    model.save(str(folder))
    # The library holds on to the model, and by the frames of its one exception to what calibrated
    # it: memory that would count as that of the next model opened.
    model.model.to("meta")
    STOP_FORWARD_EXCEPTION.__traceback__ = None
    copy_tokenizer(float_model, folder)
    return {"calibration_passages": len(passages), "quantized_on": device}
