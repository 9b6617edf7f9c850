"""The tables of a `.tflite` file, checked before an interpreter maps them.

LiteRT checks offsets; what they lead to it believes: an index of a tensor that is not there, a
shape whose product overflows. Read here by the schema's own Python classes, which stay inside the
file's bytes; nothing is allocated by what the file says of itself.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from quantbench.core.jsons import MALFORMED
from quantbench.errors import PredictionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_IDENTIFIER = b"TFL3"
_MOST_DIMENSIONS = 16
_MOST_BYTES = 2 << 30  # what one op reads and writes, computed values alone
_BITS = {  # of an element, by the schema's number; the others (text, handles) have no fixed size
    **dict.fromkeys((0, 2, 15), 32),  # FLOAT32, INT32, UINT32
    **dict.fromkeys((1, 7, 16, 18), 16),  # FLOAT16, INT16, UINT16, BFLOAT16
    **dict.fromkeys((3, 6, 9), 8),  # UINT8, BOOL, INT8
    **dict.fromkeys((4, 8, 10, 12), 64),  # INT64, COMPLEX64, FLOAT64, UINT64
    **dict.fromkeys((17, 20), 4),  # INT4, UINT4
    11: 128,  # COMPLEX128
    19: 2,  # INT2
}
_WITHOUT_SIZE = {5, 13, 14}  # STRING, RESOURCE, VARIANT


def check_tflite(path: Path) -> None:
    """Every index leads to what is there, every constant has its bytes, no op asks for too much.

    Raises:
        PredictionError: something is not as the schema means it.
    """
    with _explained(path):
        _Tables(path.read_bytes()).check()


def stored_types(path: Path) -> dict[str, int]:
    """Bytes of constants by type, e.g. INT8 and FLOAT32; small ones included.

    Raises:
        PredictionError: as `check_tflite`.
    """
    with _explained(path):
        return _Tables(path.read_bytes()).stored()


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (*MALFORMED, struct.error) as error:
        raise PredictionError(
            "not a valid .tflite file",
            where=path,
            expected="a flatbuffer of TensorFlow Lite's schema, version 3, whole and consistent",
            got=f"{type(error).__name__}: {error}",
            remedy="fetch or export it again; do not use it if it stays so",
        ) from error


class _Tables:
    """A file's tables; raises what `check_tflite` explains."""

    def __init__(self, content: bytes) -> None:
        from ai_edge_litert import schema_py_generated as schema

        if content[4:8] != _IDENTIFIER:
            raise ValueError(f"identifier {content[4:8]!r}, not {_IDENTIFIER!r}")
        self._content, self._schema = content, schema
        self._model = schema.Model.GetRootAs(content, 0)
        # Tables that refer to one table many times say more than the file holds, without end.
        self._left = 4 * len(content)

    def check(self) -> None:
        model = self._model
        if model.Version() != 3:  # noqa: PLR2004 - the schema's
            raise ValueError(f"version {model.Version()}")
        buffers = [self._size(buffer) for buffer in self._all(model, "Buffers")]
        ops = len(list(self._all(model, "OperatorCodes")))
        tensors = [
            self._check_graph(graph, buffers, ops) for graph in self._all(model, "Subgraphs")
        ]
        if not tensors:
            raise ValueError("no graph")
        for signature in self._all(model, "SignatureDefs"):
            known = tensors[signature.SubgraphIndex()]
            for kind in ("Inputs", "Outputs"):
                named = (entry.TensorIndex() for entry in self._all(signature, kind))
                _check_within(f"{kind.lower()} of a signature", named, 0, known)

    def stored(self) -> dict[str, int]:
        names = {v: k for k, v in vars(self._schema.TensorType).items() if not k.startswith("_")}
        buffers = [self._size(buffer) for buffer in self._all(self._model, "Buffers")]
        found: Counter[str] = Counter()
        for graph in self._all(self._model, "Subgraphs"):
            for tensor in self._all(graph, "Tensors"):
                if size := buffers[tensor.Buffer()]:
                    found[names[tensor.Type()]] += size
        return dict(sorted(found.items()))

    def _check_graph(self, graph: Any, buffers: list[int], ops: int) -> int:
        """Returns how many tensors it has."""
        sizes = [self._check_tensor(tensor, buffers) for tensor in self._all(graph, "Tensors")]
        known = len(sizes)
        for kind in ("Inputs", "Outputs"):
            _check_within(f"{kind.lower()} of a graph", self._numbers(graph, kind), 0, known)
        for op in self._all(graph, "Operators"):
            _check_within("ops", [op.OpcodeIndex()], 0, ops)
            read, written = self._numbers(op, "Inputs"), self._numbers(op, "Outputs")
            _check_within("inputs of an op", read, -1, known)  # -1: an optional one, left out
            _check_within("outputs of an op", written, 0, known)
            need = sum(sizes[i] for i in {*read, *written} if i >= 0)
            if need > _MOST_BYTES:
                raise ValueError(f"an op that reads and writes {need:,} bytes")
        return known

    def _check_tensor(self, tensor: Any, buffers: list[int]) -> int:
        """Returns the bytes that it takes when a model runs: none of a constant."""
        name = (tensor.Name() or b"").decode(errors="replace")[:80]
        shape = self._numbers(tensor, "Shape")
        if len(shape) > _MOST_DIMENSIONS or min(shape, default=0) < 0:
            raise ValueError(f"tensor {name!r} of shape {shape[:_MOST_DIMENSIONS]}")
        _check_within("buffers", [tensor.Buffer()], 0, len(buffers))
        stored, kind = buffers[tensor.Buffer()], tensor.Type()
        if kind in _WITHOUT_SIZE or tensor.Sparsity() is not None:
            return 0
        needed = -(-math.prod(shape) * _BITS[kind] // 8)
        if stored and stored < needed:
            raise ValueError(f"tensor {name!r} of {needed:,} bytes has {stored:,}")
        return 0 if stored else needed

    def _size(self, buffer: Any) -> int:
        """Of a buffer's bytes, which lie in its table or behind the tables."""
        offset, size = buffer.Offset(), buffer.Size()
        if offset > 1:
            if offset + size > len(self._content):
                raise ValueError(f"a buffer of {size:,} bytes at {offset:,}")
            return int(size)
        return len(buffer.DataAsNumpy()) if buffer.DataLength() else 0

    def _all(self, table: Any, kind: str) -> Iterable[Any]:
        """The tables of a vector, one after the other."""
        for i in range(getattr(table, f"{kind}Length")()):
            self._took(4)
            yield getattr(table, kind)(i)

    def _numbers(self, table: Any, kind: str) -> list[int]:
        length = getattr(table, f"{kind}Length")()
        self._took(4 * length)
        return [int(n) for n in getattr(table, f"{kind}AsNumpy")()] if length else []

    def _took(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise ValueError("tables that say more than the file holds")


def _check_within(what: str, numbers: Iterable[int], low: int, high: int) -> None:
    for number in numbers:
        if not low <= number < high:
            raise ValueError(f"{what}: {number} of {high}")
