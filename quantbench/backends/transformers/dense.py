"""A GPTQ checkpoint as a dense model of the same weights, for evaluation at full speed.

The packed CPU kernels unpack every weight in every call. Evaluation asks thousands of questions
of one set of weights, so they are unpacked once here. Latency and memory belong to the packed
kernel: neither is taken while the dense model is in use.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from quantbench.errors import PredictionError

if TYPE_CHECKING:
    from pathlib import Path

# Relative error of a layer's output: both kernels round to bfloat16 (2**-8), in different orders
# of summation. A shifted zero point or a transposed group is off by whole units.
_TOLERANCE = 0.03


def dense_model(folder: Path, dtype: Any, device: str = "cpu") -> Any:
    """The checkpoint in `folder` with each packed layer as `torch.nn.Linear` of `dtype`."""
    from gptqmodel import BACKEND, GPTQModel

    packed = GPTQModel.load(
        str(folder), device=device, backend=BACKEND.GPTQ_TORCH, trust_remote_code=False
    )
    return _unpacked(packed.model, dtype).eval()


def check_same(packed: Any, dense: Any, folder: Path) -> None:
    """Compare every packed layer with its dense twin on the same random inputs.

    Layer by layer, because through a whole network of few bits rounding grows until two right
    answers differ by nats.

    Raises:
        PredictionError: a layer's outputs differ by more than rounding explains.
    """
    import torch

    twins = dict(dense.named_modules())
    compared = 0
    generator = torch.Generator().manual_seed(0)
    for name, layer in packed.named_modules():
        if not _is_packed(layer):
            continue
        inputs = torch.randn(8, twins[name].in_features, generator=generator)
        inputs = inputs.to(packed.device, packed.dtype)
        with torch.inference_mode():
            said, meant = layer(inputs).float(), twins[name](inputs).float()
        compared += 1
        error = float((said - meant).norm() / meant.norm())
        if not error <= _TOLERANCE:  # NaN is a disagreement too
            raise PredictionError(
                "the packed kernel and its unpacked weights disagree",
                where=f"{folder}, layer {name} ({type(layer).__name__})",
                expected=f"outputs within {_TOLERANCE:.0%} of each other",
                got=f"{error:.1%} apart",
                remedy="report it: one of the two kernels is wrong for this checkpoint",
            )
    if compared == 0:
        raise PredictionError(
            "no packed layer was found to compare",
            where=folder,
            remedy="report it: this checkpoint's kernels are not known",
        )


def _is_packed(module: Any) -> bool:
    return hasattr(module, "dequantize_weight")


def _unpacked(module: Any, dtype: Any) -> Any:
    """A shallow copy of the module tree; only packed layers get new tensors."""
    from torch import nn

    if _is_packed(module):
        # The class's method: the instance's is compiled anew for every shape.
        weight = type(module).dequantize_weight(module)
        linear = nn.Linear(weight.shape[0], weight.shape[1], bias=module.bias is not None)
        linear.weight = nn.Parameter(weight.T.contiguous().to(dtype), requires_grad=False)
        if module.bias is not None:
            linear.bias = nn.Parameter(module.bias.to(dtype), requires_grad=False)
        return linear
    twin = copy.copy(module)
    twin._modules = {name: _unpacked(child, dtype) for name, child in module._modules.items()}  # noqa: SLF001
    return twin
