"""Adapters without training: EoRA (Liu et al., 2024, arXiv 2410.21271) by gptqmodel's own code.

Of all adapters of a rank, the one that leaves the least of a layer's rounding error on the inputs
that the float model gives it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from quantbench.backends.transformers.diagnosis.layers import FloatModel
    from quantbench.backends.transformers.recovering.adapters import Tensors
    from quantbench.data.prompts import Prompt


def eigenspace_adapters(
    model: FloatModel,
    weights: Mapping[str, Any],
    prompts: Sequence[Prompt],
    rank: int,
    advance: Callable[[int], None],
) -> Tensors:
    """An adapter for each layer, in float32.

    Args:
        model: the float model, in float32.
        weights: of the quantized layers, unpacked, [outputs, inputs].
        prompts: passages that the inputs are taken from.
        rank: of each adapter, at most the layer's own.
        advance: called with 1 after each layer.
    """
    import torch
    from gptqmodel.eora.eora import eora_compute_lora

    squares = _input_squares(model, prompts)
    found: Tensors = {}
    for name, weight in weights.items():
        own = model.weight(name).float()
        delta = own - weight.to(own)
        down, up = eora_compute_lora(
            w_wq_delta=delta,
            name=name,
            eigen_scaling_diag_matrix=squares[name],
            rank=min(rank, *delta.shape),
            dtype=torch.float32,
            device=delta.device,
        )
        found[name] = (down.contiguous(), up.contiguous())
        advance(1)
    return found


def _input_squares(model: FloatModel, prompts: Sequence[Prompt]) -> dict[str, Any]:
    """Mean outer product of each layer's inputs, [inputs, inputs]."""
    sums: dict[str, Any] = {}
    tokens = sum(len(prompt.tokens) for prompt in prompts)

    def listen(name: str, inputs: Any, outputs: Any) -> None:
        del outputs
        inputs = inputs.float()
        made = inputs.T @ inputs / tokens
        sums[name] = sums[name] + made if name in sums else made

    with model.listening(listen):
        for prompt in prompts:
            model.logprobs([prompt])
    return sums
