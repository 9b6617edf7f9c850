"""How many weights a model has: as its architecture says, or counted in files that are here."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

from quantbench.core.plugins import resolve
from quantbench.errors import QuantbenchError
from quantbench.formats import gguf_header, safetensors_header
from quantbench.study import Weights
from quantbench.study.registry import backends

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from quantbench.protocols import Needs
    from quantbench.study import Model

_FLOAT_BYTES = 4
_BITS = 8
# Tables that stay in float, as checkpoints and GGUF files name them.
_TABLES = ("embed_tokens.weight", "lm_head.weight", "wte.weight", "token_embd.weight")
_HEAD = "output.weight"  # of a GGUF file; elsewhere the end of other names


@cache
def needs_of(backend: str) -> Needs | None:
    """What a backend says of its needs; None where it says nothing."""
    code = backends()[backend].needs if backend in backends() else ""
    return resolve(code)() if code else None


def described(model: Model) -> Weights | None:
    """As the model says, else by its architecture; None where no backend knows it."""
    if model.parameters:
        return Weights(model.parameters)
    for name in backends() if model.architecture else ():
        needs = needs_of(name)
        found = needs.weights(model.architecture) if needs is not None else None
        if found is not None:
            return found
    return None


def counted(files: Iterable[Path]) -> Weights | None:
    """Of a model's files: by their headers, else a float32 for every four bytes of the files.

    None where there are no files, or a header cannot be read.
    """
    paths = [path for path in files if path.is_file()]
    size = sum(path.stat().st_size for path in paths)
    with suppress(QuantbenchError, OSError):
        if found := _by_headers(paths):
            elements = sum(n for _, n, _ in found)
            stored = sum(each for *_, each in found)
            tables = sum(n for name, n, _ in found if name.endswith(_TABLES) or name == _HEAD)
            if elements:
                return Weights(elements, min(tables, elements), stored * _BITS / elements)
            return None
        if size >= _FLOAT_BYTES:
            return Weights(size // _FLOAT_BYTES, stored_bits=_FLOAT_BYTES * _BITS, exact=False)
    return None


def _by_headers(paths: Iterable[Path]) -> list[tuple[str, int, int]]:
    """Name, elements and bytes of each tensor in files whose headers say them."""
    found: list[tuple[str, int, int]] = []
    for path in paths:
        if path.suffix == ".safetensors":
            header = safetensors_header.read_header(path)
            found += [(each.name, each.elements, each.size_bytes) for each in header]
        elif path.suffix == ".gguf":
            tensors = gguf_header.read_header(path).tensors
            found += [(each.name, each.elements, each.size_bytes) for each in tensors]
    return found
