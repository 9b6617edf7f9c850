"""A reshape that leaves channels last where it can.

A head's [1, classes, height, width] becomes [1, classes, rows], and is transposed only then. Held
with channels last the rows are one stretch already, and nothing needs to move.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantbench.backends.litert.importers.onnx_ops.values import Value, plainly

if TYPE_CHECKING:
    from collections.abc import Sequence


def reshaped(value: Value, shape: Sequence[int]) -> Value:
    """The tensor in another shape, as ONNX means it; it moves only where axes that merge lie apart.

    Args:
        value: to reshape.
        shape: lengths, all of them said.
    """
    import tensorflow as tf

    groups = []  # where they begin in the held tensor, and the new axes
    for before, after in _groups(value.shape, shape):
        places = [value.order.index(axis) for axis in before]
        if places != list(range(places[0], places[0] + len(places))):
            return plainly(tf.reshape(value.plain(), shape), positive=value.positive)
        groups.append((places[0], after))
    order = tuple(axis for _, after in sorted(groups) for axis in after)
    if len(order) != len(shape):
        return plainly(tf.reshape(value.plain(), shape), positive=value.positive)
    return Value(tf.reshape(value.held, [shape[axis] for axis in order]), order, value.positive)


def _groups(before: Sequence[int], after: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Axes of both shapes that hold the same numbers, in order; none where they cannot be told."""
    found: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(before) and j < len(after):
        mine, theirs = [i], [j]
        size, wanted = before[i], after[j]
        i, j = i + 1, j + 1
        while size != wanted:
            if size < wanted and i < len(before):
                size *= before[i]
                mine.append(i)
                i += 1
            elif size > wanted and j < len(after):
                wanted *= after[j]
                theirs.append(j)
                j += 1
            else:
                return []
        found.append((mine, theirs))
    if found:  # what is left has length one
        found[-1][0].extend(range(i, len(before)))
        found[-1][1].extend(range(j, len(after)))
    return found
