"""The header of a GGUF file, checked before a library reads it.

The library makes objects for everything that the header counts, and transformers a model of the
sizes that it names. Both believe it. Layout: "GGUF" in the ggml project's documentation,
versions 2 and 3.
"""

from __future__ import annotations

import math
import mmap
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from quantbench.core.jsons import MALFORMED
from quantbench.errors import BuildError

if TYPE_CHECKING:
    from pathlib import Path

_VERSIONS = (2, 3)
_SCALARS = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}  # by their number in a file
_STRING, _ARRAY = 8, 9
_MOST_TENSORS = 16_384
_MOST_KEYS = 4_096
_MOST_ITEMS = 2_000_000  # of all arrays: the library makes several objects of each
_MOST_DIMENSIONS = 4
_LONGEST_NAME = 255


class Placed(NamedTuple):
    """A tensor as the header describes it.

    Attributes:
        name: of the tensor.
        kind: how it is stored, as ggml calls it: `F32`, `Q4_K`.
        elements: numbers that it holds.
        size_bytes: that it takes.
        offset: of its first byte, from the end of the header.
    """

    name: str
    kind: str
    elements: int
    size_bytes: int
    offset: int


class Described(NamedTuple):
    """What a header says.

    Attributes:
        values: scalars and texts by their keys.
        tensors: in their order.
    """

    values: dict[str, Any]
    tensors: tuple[Placed, ...]

    @property
    def elements(self) -> int:
        """Of all tensors."""
        return sum(tensor.elements for tensor in self.tensors)

    @property
    def size_bytes(self) -> int:
        """Of all tensors."""
        return sum(tensor.size_bytes for tensor in self.tensors)


def read_header(path: Path) -> Described:
    """Read a header that keeps to what its file holds.

    Raises:
        BuildError: it counts, names or places more than that, or is no GGUF header.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Header(data).read()
    except (*MALFORMED, struct.error) as error:
        raise BuildError(
            "not a valid GGUF file",
            where=path.name,
            expected="a GGUF header of version 2 or 3 that counts what the file holds",
            got=f"{type(error).__name__}: {error}",
            remedy="fetch it again; do not use it if it stays so",
        ) from error


class _Header:
    """Reads forwards; raises what `read_header` explains."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data, self._at, self._items = data, 0, 0

    def read(self) -> Described:
        if self._data[:4] != b"GGUF":
            raise ValueError(f"it begins with {self._data[:4]!r}")
        self._at = 4
        if (version := self._number("I")) not in _VERSIONS:
            raise ValueError(f"version {version}")
        tensors = _at_most(self._number("Q"), _MOST_TENSORS, "tensors")
        keys = _at_most(self._number("Q"), _MOST_KEYS, "keys")
        values = {}
        for _ in range(keys):
            key = self._text(_LONGEST_NAME)
            if key in values:
                raise ValueError(f"two values of {key}")
            values[key] = self._value(self._number("I"))
        placed = [self._tensor() for _ in range(tensors)]
        self._check_places(placed, values.get("general.alignment", 32))
        layers = values.get(f"{values.get('general.architecture')}.block_count", 0)
        _at_most(layers, tensors, "layers for its tensors")
        return Described(values, tuple(placed))

    def _check_places(self, placed: list[Placed], alignment: Any) -> None:
        if not isinstance(alignment, int) or alignment <= 0 or alignment & (alignment - 1):
            raise ValueError(f"alignment {alignment!r}")
        start = -(-self._at // alignment) * alignment
        for each in placed:
            end = start + each.offset + each.size_bytes
            _at_most(end, len(self._data), "bytes up to the end of a tensor")
        _at_most(sum(each.size_bytes for each in placed), len(self._data), "bytes of tensors")

    def _tensor(self) -> Placed:
        from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

        name = self._text(_LONGEST_NAME)
        dimensions = _at_most(self._number("I"), _MOST_DIMENSIONS, "dimensions")
        elements = math.prod(self._number("Q") for _ in range(dimensions))
        kind = GGMLQuantizationType(self._number("I"))
        block, size = GGML_QUANT_SIZES[kind]
        return Placed(name, kind.name, elements, -(-elements // block) * size, self._number("Q"))

    def _value(self, kind: int, depth: int = 0) -> Any:
        """A scalar or text; of an array nothing is kept."""
        if kind == _STRING:
            return self._text(len(self._data))
        if kind != _ARRAY:
            return self._number(_SCALARS[kind])
        _at_most(depth, _MOST_DIMENSIONS, "arrays in arrays")
        inner, n = self._number("I"), self._number("Q")
        self._items = _at_most(self._items + n, _MOST_ITEMS, "items of arrays")
        if inner in _SCALARS:
            self._skip(n * struct.calcsize(_SCALARS[inner]))
        else:
            for _ in range(n):
                self._value(inner, depth + 1)
        return None

    def _text(self, longest: int) -> str:
        size = _at_most(self._number("Q"), longest, "bytes of a text")
        start = self._at
        self._skip(size)
        return self._data[start : self._at].decode()

    def _number(self, form: str) -> int:
        (value,) = struct.unpack_from(f"<{form}", self._data, self._at)
        self._at += struct.calcsize(form)
        return value  # type: ignore[no-any-return]

    def _skip(self, size: int) -> None:
        self._at = _at_most(self._at + size, len(self._data), "bytes")


def _at_most(number: int, most: int, what: str) -> int:
    if not isinstance(number, int) or number > most:
        raise ValueError(f"{number!r} {what}, of at most {most:,}")
    return number
