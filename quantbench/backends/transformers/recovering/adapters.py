"""Low-rank adapters beside frozen layers (Hu et al., "LoRA", 2021): stored, attached, checked.

Files are peft's (`adapter/adapter_model.safetensors`, `adapter_config.json`). Its code is not
used: with gptqmodel installed it refuses every adapter where `optimum` is not installed too.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from quantbench.errors import PredictionError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FOLDER = "adapter"  # not beside config.json: transformers would take the folder for an adapter's
_FILE, _CONFIG = "adapter_model.safetensors", "adapter_config.json"
_PREFIX = "base_model.model."
# Of what an adapter adds: both sides round to bfloat16 (2**-8) in different orders.
_TOLERANCE = 0.03
_ROUNDING = 2 * 2.0**-8  # of the layer's own output, which what is added is rounded together with

Tensors = dict[str, tuple[Any, Any]]  # of each layer: down [rank, inputs], up [outputs, rank]


@cache
def _kind() -> Any:
    """The class of a layer with its adapter; made when torch is there."""
    from torch import nn

    class AdaptedLinear(nn.Module):  # type: ignore[misc]
        def __init__(self, base: Any, down: Any, up: Any) -> None:
            super().__init__()
            self.base, self.in_features, self.out_features = base, down.shape[1], up.shape[0]
            self.down, self.up = nn.Parameter(down), nn.Parameter(up)

        def forward(self, x: Any) -> Any:
            made = self.base(x)
            added = (x.to(self.down.dtype) @ self.down.T) @ self.up.T
            return made + added.to(made.dtype)

    return AdaptedLinear


def adapted_linear(base: Any, down: Any, up: Any) -> Any:
    """A layer with its adapter: `base(x) + up @ down @ x`.

    Args:
        base: any linear layer, packed or not; it is not changed.
        down: [rank, inputs].
        up: [outputs, rank].
    """
    return _kind()(base, down, up)


def attach(model: Any, tensors: Mapping[str, tuple[Any, Any]], dtype: Any = None) -> list[Any]:
    """Put adapters beside the layers of these names, on the model's device; returns the layers.

    Raises:
        KeyError: the model has no such layer.
    """
    modules = dict(model.named_modules())
    found = []
    for name, pair in tensors.items():
        parent, _, leaf = name.rpartition(".")
        # Copies: what is trained must not change what it started from.
        down, up = (tensor.to(model.device, dtype or model.dtype, copy=True) for tensor in pair)
        layer = adapted_linear(modules[name], down, up).requires_grad_(requires_grad=False)
        setattr(modules[parent], leaf, layer)
        found.append(layer)
    return found


def attach_stored(model: Any, folder: Path) -> None:
    """Put an artifact's adapters beside the layers of its model, where it has some."""
    if has_adapter(folder):
        attach(model, read(folder))


def has_adapter(folder: Path) -> bool:
    """Whether an artifact has adapters beside its checkpoint."""
    return (folder / FOLDER / _FILE).exists()


def write(tensors: Mapping[str, tuple[Any, Any]], folder: Path) -> None:
    """Store adapters in bfloat16 beside a checkpoint."""
    import torch
    from safetensors.torch import save_file

    (folder / FOLDER).mkdir()
    rank = next(iter(tensors.values()))[0].shape[0]
    flat = {
        f"{_PREFIX}{name}.lora_{letter}.weight": tensor.to("cpu", torch.bfloat16).contiguous()
        for name, pair in tensors.items()
        for letter, tensor in zip("AB", pair, strict=True)
    }
    save_file(flat, folder / FOLDER / _FILE, metadata={"format": "pt"})
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "..",
        "r": rank,
        "lora_alpha": rank,
        "target_modules": sorted({name.rpartition(".")[2] for name in tensors}),
        "bias": "none",
        "inference_mode": True,
    }
    (folder / FOLDER / _CONFIG).write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")


def read(folder: Path) -> Tensors:
    """An artifact's adapters as they are stored, their scale in `up`.

    Raises:
        ValueError: a tensor is no adapter's, or a layer has half of one.
    """
    from safetensors.torch import load_file

    config = json.loads((folder / FOLDER / _CONFIG).read_text())
    scale = config["lora_alpha"] / config["r"]
    halves: dict[str, dict[str, Any]] = {}
    for name, tensor in load_file(folder / FOLDER / _FILE).items():
        layer, _, letter = name.removeprefix(_PREFIX).removesuffix(".weight").rpartition(".lora_")
        halves.setdefault(layer, {})[letter] = tensor
    if wrong := [layer for layer, pair in halves.items() if set(pair) != {"A", "B"}]:
        raise ValueError(f"no whole adapter of {wrong[0]!r}")
    return {layer: (pair["A"], scale * pair["B"]) for layer, pair in halves.items()}


def stored_bytes(folder: Path) -> int:
    """Bytes of an artifact's adapters; 0 where it has none."""
    if not has_adapter(folder):
        return 0
    return sum(int(tensor.nbytes) for pair in read(folder).values() for tensor in pair)


def check_adapters(model: Any, folder: Path) -> None:
    """See that each layer of the model adds what the artifact's files say, and that all do.

    Raises:
        PredictionError: a layer adds something else: evaluation would judge what is not stored.
    """
    import torch

    modules = dict(model.named_modules())
    for name, (down, up) in (read(folder) if has_adapter(folder) else {}).items():
        layer: Any = modules[name]
        if not _holds(layer, down, up):
            raise PredictionError(
                "a layer adds something else than its stored adapter",
                where=f"{folder}, layer {name}",
                got="another adapter, or none",
                remedy="report it: what is evaluated must be what is stored",
            )
        # What the adapter listens to: of other inputs it may add less than rounding does.
        inputs = (down.float() / down.float().norm(dim=1, keepdim=True).clamp(min=1e-12))[:8]
        inputs = inputs.to(model.device, model.dtype)
        base = getattr(layer, "base", layer)
        with torch.inference_mode():
            made, without = layer(inputs).float().cpu(), base(inputs).float().cpu()
        meant = (inputs.float().cpu() @ down.float().T) @ up.float().T
        error = float((made - without - meant).norm())
        most = _TOLERANCE * float(meant.norm()) + _ROUNDING * float(made.norm())
        if not error <= most:  # NaN is a disagreement too
            raise PredictionError(
                "a layer adds something else than its stored adapter",
                where=f"{folder}, layer {name}",
                expected=f"a sum of norm {float(meant.norm()):.3g}, within {most:.2g}",
                got=f"{error:.3g} apart",
                remedy="report it: what is evaluated must be what is stored",
            )


def _holds(layer: Any, down: Any, up: Any) -> bool:
    """Whether a layer has this adapter, in its own float type."""
    import torch

    if not isinstance(layer, _kind()):
        return False
    pairs = ((layer.down, down), (layer.up, up))
    return all(torch.equal(mine.cpu(), stored.to(mine.dtype)) for mine, stored in pairs)
