"""The header of a safetensors file: what it holds, read without a framework.

Layout: eight bytes that say how long the header is, little-endian, then JSON that gives type and
shape of each tensor ("Format" in the safetensors project's documentation).
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from quantbench.core.jsons import MALFORMED, loads
from quantbench.errors import BuildError

if TYPE_CHECKING:
    from pathlib import Path

_LONGEST = 100_000_000  # bytes of a header, as the format's own reader allows
_LENGTH = struct.Struct("<Q")


class Tensor(NamedTuple):
    """A tensor as the header describes it.

    Attributes:
        name: of the tensor.
        kind: its type, as the format calls it: `F32`, `BF16`.
        elements: numbers that it holds.
        size_bytes: that it takes.
    """

    name: str
    kind: str
    elements: int
    size_bytes: int


def read_header(path: Path) -> tuple[Tensor, ...]:
    """The tensors of a file, in the header's order.

    Raises:
        BuildError: it has no header, or one that counts more than the file holds.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
            if length > min(_LONGEST, size):
                raise ValueError(f"a header of {length} bytes")
            described: dict[str, Any] = loads(file.read(length))
        found = tuple(
            _tensor(name, told) for name, told in described.items() if name != "__metadata__"
        )
        if sum(tensor.size_bytes for tensor in found) > size:
            raise ValueError("tensors that are larger than the file")
    except (*MALFORMED, struct.error) as error:
        raise BuildError(
            "not a valid safetensors file",
            where=path.name,
            got=f"{type(error).__name__}: {error}",
            remedy="fetch it again; do not use it if it stays so",
        ) from error
    return found


def _tensor(name: str, told: Any) -> Tensor:
    start, stop = told["data_offsets"]
    shape = told["shape"]
    if not all(isinstance(each, int) and each >= 0 for each in (*shape, start, stop)):
        raise ValueError(f"no shape or place: {name[:80]!r}")
    return Tensor(name, str(told["dtype"]), math.prod(shape), stop - start)
