"""What a loaded language model weighs, and by which kernels it runs."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_T = TypeVar("_T")


def stored_bytes(folder: Path) -> int:
    """Bytes of every tensor in a checkpoint's files, each once; a tied head not at all."""
    sizes = _tensors(folder, lambda tensor: int(tensor.nbytes))
    if json.loads((folder / "config.json").read_text()).get("tie_word_embeddings"):
        sizes.pop("lm_head.weight", None)  # auto-gptq stores it again
    return sum(sizes.values())


def stored_names(folder: Path) -> set[str]:
    """Names of the tensors in a checkpoint's files."""
    return set(_tensors(folder, lambda _: None))


def _tensors(folder: Path, read: Callable[[Any], _T]) -> dict[str, _T]:
    from safetensors import safe_open

    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - a handle, not a dict
                found[name] = read(tensors.get_tensor(name))
    return found


def loaded_bytes(model: Any) -> int:
    """Bytes of a float model's parameters as they are loaded, tied ones once."""
    # By identity: `parameters()` names a tied one once, and views of one tensor share no bytes.
    return sum(parameter.nbytes for parameter in model.parameters())


def kernels(model: Any) -> str:
    """Classes of the linear layers, counted: `210 x TorchInt8Linear, 1 x Linear`."""
    found = Counter(map(_kind, _linears(model)))
    return ", ".join(f"{n} x {kind}" for kind, n in sorted(found.items()))


def held_bits(model: Any) -> dict[str, float]:
    """Bits that each kind of packed layer holds for one weight in memory.

    Scales are included, but for those of bitsandbytes, which are no tensors of the layer.
    A kernel that repacks says so here: an artifact of 4 bits that is held in 9 runs, and weighs,
    like one of 8.
    """
    size: Counter[str] = Counter()
    weights: Counter[str] = Counter()
    for layer in _linears(model):
        kind = _kind(layer)
        if kind == "Linear":
            continue
        beside = getattr(layer, "meta", {})  # hqq keeps scales and zero points there
        loose = [value for value in beside.values() if hasattr(value, "untyped_storage")]
        tensors = (*layer.parameters(), *layer.buffers(), *loose)
        size[kind] += sum(_nbytes(tensor) for tensor in {id(t): t for t in tensors}.values())
        weights[kind] += layer.in_features * layer.out_features
    return {kind: round(8 * size[kind] / weights[kind], 2) for kind in sorted(size)}


def _kind(layer: Any) -> str:
    """Its class, or that of a weight which brings its own arithmetic."""
    weight = getattr(layer, "weight", None)
    own = weight is not None and hasattr(weight, "__tensor_flatten__")
    return type(weight).__name__ if own else type(layer).__name__


def _linears(model: Any) -> list[Any]:
    return [m for m in model.modules() if "Linear" in type(m).__name__ and not list(m.children())]


def _nbytes(tensor: Any) -> int:
    """Of a plain tensor, or of the parts of one that packs several."""
    if hasattr(tensor, "__tensor_flatten__"):
        names, _ = tensor.__tensor_flatten__()
        return sum(_nbytes(getattr(tensor, name)) for name in names)
    return int(tensor.nbytes)
