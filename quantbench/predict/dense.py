"""A GPTQ checkpoint as a dense model of the same weights, for evaluation at full speed.

The packed CPU kernels unpack every weight in every call. Evaluation asks thousands of questions
of one set of weights, so they are unpacked once here. Latency and memory are never taken from
the dense model: they belong to the packed kernel.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from quantbench.errors import PredictionError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from quantbench.tasks.last_word import Prompt

# Mean nats between the two on a target token, as a share of its mean surprise plus a constant:
# both round to bfloat16 in every layer, in different orders of summation (measured on
# SmolLM2-135M int4: .04). A shifted zero point or a transposed group misses by whole nats.
_RELATIVE_TOLERANCE, _TOLERANCE = 0.05, 0.1


def dense_model(folder: Path, dtype: Any) -> Any:
    """The checkpoint in `folder` with each packed layer as `torch.nn.Linear` of `dtype`."""
    from gptqmodel import BACKEND, GPTQModel

    packed = GPTQModel.load(
        str(folder), device="cpu", backend=BACKEND.GPTQ_TORCH, trust_remote_code=False
    )
    return _unpacked(packed.model, dtype).eval()


def check_same(
    packed: Callable[[Sequence[Prompt]], list[dict[str, list[float]]]],
    dense: Callable[[Sequence[Prompt]], list[dict[str, list[float]]]],
    prompts: Sequence[Prompt],
    folder: Path,
) -> None:
    """Compare both models on a few prompts.

    Raises:
        PredictionError: the targets' log-probabilities differ by more than rounding explains.
    """
    said, meant = (
        [logprob for answer in score(prompts) for logprob in answer["logprobs"]]
        for score in (packed, dense)
    )
    apart = sum(abs(a - b) for a, b in zip(said, meant, strict=True)) / len(said)
    allowed = _TOLERANCE + _RELATIVE_TOLERANCE * sum(map(abs, said)) / len(said)
    if not apart <= allowed:  # NaN is a disagreement too
        raise PredictionError(
            "the packed kernel and its unpacked weights disagree",
            where=folder,
            expected=f"a mean difference of at most {allowed:.2f} nats a target token",
            got=f"{apart:.2f} over {len(said)} tokens",
            remedy="report it: one of the two kernels is wrong for this checkpoint",
        )


def _unpacked(module: Any, dtype: Any) -> Any:
    """A shallow copy of the module tree; only packed layers get new tensors."""
    from torch import nn

    if hasattr(module, "qweight"):
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
