"""An ONNX graph as a function of TensorFlow."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.backends.litert.importers.onnx_ops import OPS
from quantbench.backends.litert.importers.onnx_ops.values import Node, Value, plainly, refused
from quantbench.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_OWN = ("", "ai.onnx")  # domain of ONNX itself


def as_function(model: Any, wanted: Sequence[str]) -> Callable[[Any], dict[str, Any]]:
    """What computes the wanted outputs of a checked ONNX model from its one input.

    Only what they need is built.

    Raises:
        BuildError: ops of it are not known here; said of all at once.
    """
    nodes = _needed(model.graph, wanted)
    unknown = Counter(
        node.op_type if node.domain in _OWN else f"{node.domain}.{node.op_type}"
        for node in nodes
        if node.domain not in _OWN or node.op_type not in OPS
    )
    if unknown:
        raise BuildError(
            "ONNX ops that have no counterpart in TensorFlow here",
            expected="ops of convolutional detectors and classifiers",
            got=", ".join(f"{kind} ({n})" for kind, n in sorted(unknown.items())),
            remedy="choose outputs before them (Detector(outputs=...)), export the model without "
            "them, or quantize by a backend that reads ONNX itself",
        )
    constants = _constants(model.graph)
    name = next(each.name for each in model.graph.input if each.name not in constants)
    _check_order(nodes, {"", name, *constants}, wanted)

    def run(given: Any) -> dict[str, Any]:
        import tensorflow as tf

        values = {**constants, name: plainly(given)}
        for node in nodes:
            made = _called(node, values)
            values |= {key: each for key, each in zip(node.output, made, strict=False) if key}
        return {key: tf.identity(values[key].plain()) for key in wanted}

    return run


def _check_order(nodes: Sequence[Any], known: set[str], wanted: Sequence[str]) -> None:
    """Every operand and output is made before it is used."""
    for node in nodes:
        if missing := set(node.input) - known:
            raise BuildError(
                "not an ONNX model that is whole",
                where=f"node {node.name or node.output[0]}",
                got=f"an operand that nothing before it makes: {', '.join(sorted(missing))[:300]}",
            )
        known |= set(node.output)
    if missing := set(wanted) - known:
        raise BuildError("nothing makes an output of the model", got=", ".join(sorted(missing)))


def _called(node: Any, values: dict[str, Value]) -> Sequence[Value]:
    """The values that a node makes; of constants alone they are constants."""
    import tensorflow as tf

    attributes = {each.name: _plain(each, node) for each in node.attribute}
    operands = tuple(values[key] if key else None for key in node.input)
    described = Node(node.op_type, node.name, operands, tuple(node.output), attributes)
    op = OPS[node.op_type]
    try:
        if all(value is None or value.constant for value in operands):
            with tf.init_scope():  # eagerly: numbers, not ops
                made = op(described)
                listed = [made] if isinstance(made, Value) else made
                return [Value(np.asarray(v.held), v.order, v.positive) for v in listed]
        made = op(described)
    except (ValueError, TypeError, KeyError, IndexError, tf.errors.OpError) as error:
        raise refused(described, f"{type(error).__name__}: {error}"[:500]) from error
    return [made] if isinstance(made, Value) else made


def _plain(attribute: Any, node: Any) -> Any:
    """An attribute as text, number or array."""
    import onnx

    try:
        value = onnx.helper.get_attribute_value(attribute)
        if isinstance(value, bytes):
            return value.decode()
        tensor = isinstance(value, onnx.TensorProto)
        return onnx.numpy_helper.to_array(value) if tensor else value
    except (ValueError, TypeError) as error:  # a value of no kind, a text that is none
        raise BuildError(
            f"attribute {attribute.name!r} of an op has no value",
            where=f"{node.op_type} {node.name or node.output[0]}",
            got=str(error)[:300],
            remedy="export the model again; do not use it if it stays so",
        ) from error


def _needed(graph: Any, wanted: Sequence[str]) -> list[Any]:
    """The nodes that the wanted outputs depend on, in order."""
    needed, kept = set(wanted), []
    for node in reversed(graph.node):
        if needed & set(node.output):
            needed |= set(node.input)
            kept.append(node)
    return kept[::-1]


def _constants(graph: Any) -> dict[str, Value]:
    import onnx

    return {each.name: plainly(onnx.numpy_helper.to_array(each)) for each in graph.initializer}
