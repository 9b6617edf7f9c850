"""A graph as far as a diagnosis or a search walks it: ops, and the tensors between them.

A backend's graph fits as it is where it has these words. A tensor is identified by any value that
is hashable and sorts: its number in a `.tflite`, its name in an ONNX file.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

Tensor = TypeVar("Tensor", bound=Hashable)
Tensor_co = TypeVar("Tensor_co", bound=Hashable, covariant=True)


class WiredOp(Protocol[Tensor_co]):
    """One op."""

    @property
    def index(self) -> int:
        """Its place in the order of execution."""

    @property
    def kind(self) -> str:
        """The format's word for what it does, e.g. `CONV_2D` or `Conv`."""

    @property
    def name(self) -> str:
        """Of its own in the graph."""

    @property
    def inputs(self) -> Sequence[Tensor_co]:
        """Tensors it reads, constants too."""

    @property
    def outputs(self) -> Sequence[Tensor_co]:
        """Tensors it writes."""


class Wiring(Protocol[Tensor]):
    """Ops in the order they run, and who writes and reads each tensor."""

    @property
    def ops(self) -> Sequence[WiredOp[Tensor]]:
        """In the order they run."""

    @property
    def inputs(self) -> Sequence[Tensor]:
        """Tensors that are fed."""

    @property
    def outputs(self) -> Sequence[Tensor]:
        """Tensors that are the answers."""

    def writer(self, tensor: Tensor, /) -> WiredOp[Tensor] | None:
        """The op that writes a tensor; None for constants and inputs."""

    def readers(self, tensor: Tensor, /) -> Sequence[WiredOp[Tensor]]:
        """Ops that read a tensor, each once."""

    def is_constant(self, tensor: Tensor, /) -> bool:
        """Whether the file holds its values."""

    def name(self, tensor: Tensor, /) -> str:
        """The tensor's name."""


AnyOp = TypeVar("AnyOp", bound=WiredOp[Any])


class Linked(Generic[Tensor, AnyOp]):
    """Who writes and reads each tensor, of a graph that says its ops."""

    @cached_property
    def ops(self) -> tuple[AnyOp, ...]:
        """In the order they run."""
        raise NotImplementedError

    @cached_property
    def _readers(self) -> dict[Tensor, list[AnyOp]]:
        found: dict[Tensor, list[AnyOp]] = {}
        for op in self.ops:
            for tensor in dict.fromkeys(op.inputs):
                found.setdefault(tensor, []).append(op)
        return found

    @cached_property
    def _writers(self) -> dict[Tensor, AnyOp]:
        return {tensor: op for op in self.ops for tensor in op.outputs}

    def readers(self, tensor: Tensor, /) -> list[AnyOp]:
        """Ops that read a tensor, each once."""
        return self._readers.get(tensor, [])

    def writer(self, tensor: Tensor, /) -> AnyOp | None:
        """The op that writes a tensor; None for constants and inputs."""
        return self._writers.get(tensor)


def tail(wiring: Wiring[Tensor], carries: AbstractSet[str]) -> list[WiredOp[Tensor]]:
    """From each output back to the op whose weights make it.

    Noise that is measured at an output undervalues these: a rounded score is near the float one,
    but many are then equal.

    Args:
        wiring: of the graph.
        carries: kinds of ops that carry an output's values as they are, or squash them: these are
            judged with what feeds them.
    """
    found: dict[int, WiredOp[Tensor]] = {}
    ahead = list(wiring.outputs)
    while ahead:
        op = wiring.writer(ahead.pop())
        if op is None or op.index in found:
            continue
        found[op.index] = op
        if op.kind in carries:
            ahead += [t for t in op.inputs if not wiring.is_constant(t)]
    return [found[i] for i in sorted(found)]


def closed(wiring: Wiring[Tensor], kept: Mapping[str, str]) -> dict[str, str]:
    """With the ops that lie between: one left in int8 among float ones would round all the same."""
    found = dict(kept)
    for op in wiring.ops:
        if op.name in found:
            continue
        writers = [wiring.writer(t) for t in op.inputs if not wiring.is_constant(t)]
        readers = [reader for tensor in op.outputs for reader in wiring.readers(tensor)]
        if (
            writers
            and readers
            and all(writer is None or writer.name in found for writer in writers)
            and all(reader.name in found for reader in readers)
        ):
            found[op.name] = "between ops in float"
    return found


def smaller(wiring: Wiring[Tensor], kept: Mapping[str, str]) -> list[dict[str, str]]:
    """These ops without one; not without one that lies between others."""
    fewer = [closed(wiring, {n: why for n, why in kept.items() if n != name}) for name in kept]
    return [names for names in fewer if 0 < len(names) < len(kept)]
