"""A tensor of an ONNX graph as it is held while TensorFlow's graph is built.

ONNX puts channels first, LiteRT's kernels want them last. So a tensor may be held with its axes in
another order than ONNX means: convolutions hold theirs with channels last, ops between them take
what they get, and a transposition is written only where an op needs its axes as they are meant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from quantbench.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

PICTURES = (0, 2, 3, 1)  # channels last


@dataclass(frozen=True)
class Value:
    """A tensor and the order of its axes.

    Attributes:
        held: a numpy array for what is constant, else a tensor of TensorFlow's.
        order: axis i of `held` is axis `order[i]` of the ONNX tensor.
        positive: known to hold nothing below zero.
    """

    held: Any
    order: tuple[int, ...]
    positive: bool = False

    @property
    def constant(self) -> bool:
        """Whether it depends on no input."""
        return isinstance(self.held, np.ndarray)

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.order)

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes as ONNX means them."""
        held = tuple(self.held.shape)
        return tuple(held[self.order.index(axis)] for axis in range(self.rank))

    def axis(self, meant: int) -> int:
        """Where the held tensor has an axis of ONNX's, which may count from the end."""
        return self.order.index(meant % self.rank if self.rank else meant)

    def held_as(self, order: Sequence[int]) -> Any:
        """The tensor with its axes in this order, transposed if need be."""
        perm = [self.order.index(axis) for axis in order]
        if perm == list(range(self.rank)):
            return self.held
        if self.constant:
            return np.transpose(self.held, perm)
        import tensorflow as tf

        return tf.transpose(self.held, perm)

    def plain(self) -> Any:
        """The tensor with its axes as ONNX means them."""
        return self.held_as(range(self.rank))


@dataclass(frozen=True)
class Node:
    """A node with its operands; operands and outputs that were left out are None and ""."""

    kind: str
    name: str
    inputs: tuple[Value | None, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def input(self, i: int) -> Value:
        """An operand that must be there.

        Raises:
            BuildError: it is not.
        """
        if (found := self.optional(i)) is None:
            raise refused(self, f"without input {i}")
        return found

    def optional(self, i: int) -> Value | None:
        """An operand, None where it was left out."""
        return self.inputs[i] if i < len(self.inputs) else None

    def constant(self, i: int) -> NDArray[Any]:
        """An operand that must not depend on the picture, as ONNX means it.

        Raises:
            BuildError: it does.
        """
        value = self.input(i)
        if not value.constant:
            raise refused(self, f"input {i} computed from the model's input")
        found: NDArray[Any] = value.plain()
        return found

    def numbers(self, i: int, attribute: str) -> list[Any] | None:
        """What is an input in newer opsets and was an attribute before; None where left out."""
        if self.optional(i) is not None:
            return list(self.constant(i).reshape(-1).tolist())
        given = self.attributes.get(attribute)
        return None if given is None else list(given)


if TYPE_CHECKING:
    Op: TypeAlias = Callable[[Node], Value | Sequence[Value]]


def refused(node: Node, got: str) -> BuildError:
    """The error of an op whose way of being used is not known here."""
    return BuildError(
        f"this use of ONNX's {node.kind} has no counterpart in TensorFlow here",
        where=f"node {node.name}" if node.name else f"the node that makes {node.outputs[0]}",
        got=got,
        remedy="export the model without it, choose outputs before it (Detector(outputs=...)), "
        "or quantize by a backend that reads ONNX itself",
    )


def plainly(held: Any, *, positive: bool = False) -> Value:
    """A value that is held as ONNX means it."""
    return Value(held, tuple(range(len(held.shape))), positive)


def pictures(node: Node, i: int = 0) -> Any:
    """An operand [1, height, width, channels].

    Raises:
        BuildError: it has not four axes.
    """
    value = node.input(i)
    if value.rank != len(PICTURES):
        raise refused(node, f"a tensor of {value.rank} axes, not four")
    return value.held_as(PICTURES)


def as_pictures(held: Any, *, positive: bool = False) -> Value:
    """A value held with channels last."""
    return Value(held, PICTURES, positive)


def aligned(values: Sequence[Value]) -> tuple[list[Any], tuple[int, ...]]:
    """Operands that are broadcast against each other, and the order that they are held in now.

    It is that of the first operand of most axes that is not constant.
    """
    rank = max(value.rank for value in values)
    most = sorted((v for v in values if v.rank == rank), key=lambda value: value.constant)
    order = most[0].order
    leader = most[0]
    held = []
    for value in values:
        if value is leader:
            held.append(value.held)
            continue
        shape = (1,) * (rank - value.rank) + value.shape
        held.append(_broadcast(value, shape, order))
    return held, order


def _broadcast(value: Value, shape: tuple[int, ...], order: tuple[int, ...]) -> Any:
    """With axes of length one in front and in this order; constants lose their leading ones."""
    if value.rank == len(shape):
        held = value.held_as(order)
    elif value.constant:
        held = np.transpose(value.plain().reshape(shape), order)
    else:
        import tensorflow as tf

        held = Value(tf.reshape(value.plain(), shape), tuple(range(len(shape)))).held_as(order)
    if not value.constant:
        return held
    # [1, 1, 1, n] as [n]: what the converter knows as a bias.
    lengths = held.shape
    while lengths and lengths[0] == 1:
        lengths = lengths[1:]
    return held.reshape(lengths)
