"""Loops over a batch of one, written out.

TF2 Object Detection models preprocess each picture of a batch in a `tf.map_fn`. With one picture
the loop runs once; LiteRT's calibration nonetheless dies on it, and takes the process along.
"""

from __future__ import annotations

from typing import Any

from quantbench.errors import BuildError

_LOOPS = ("While", "StatelessWhile")
_MAX_NESTING = 8


def unrolled(function: Any, spec: Any) -> Any:
    """A concrete function of one input with constants for variables, and loops run once.

    True only where every loop runs once: the caller compares answers.

    Raises:
        BuildError: a list of tensors is used in a way that is unknown here.
    """
    import tensorflow as tf

    names = sorted(function.structured_outputs)
    graph, inputs, outputs = _frozen(function)

    def rebuilt(picture: Any) -> list[Any]:
        found: list[Any] = tf.graph_util.import_graph_def(
            graph, input_map={inputs[0]: picture}, return_elements=outputs, name=""
        )
        return found

    for _ in range(_MAX_NESTING):
        if not any(node.op in _LOOPS for node in graph.node):
            break
        _call_bodies(graph)
        called = tf.function(rebuilt, input_signature=[spec]).get_concrete_function()
        graph, inputs, outputs = _frozen(called)
    _plain_lists(graph)
    named = tf.function(
        lambda picture: dict(zip(names, rebuilt(picture), strict=True)), input_signature=[spec]
    )
    return named.get_concrete_function()


def _frozen(function: Any) -> tuple[Any, list[str], list[str]]:
    """GraphDef of a concrete function with every call inlined, and its inputs and outputs."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    constant = convert_variables_to_constants_v2(function, lower_control_flow=False)
    inputs = [tensor.name for tensor in constant.inputs if tensor.dtype != tf.resource]
    return constant.graph.as_graph_def(), inputs, [tensor.name for tensor in constant.outputs]


def _call_bodies(graph: Any) -> None:
    """`while(cond, body)(x)` becomes `body(x)`, in place."""
    for node in graph.node:
        if node.op not in _LOOPS:
            continue
        body, types = node.attr["body"].func.name, list(node.attr["T"].list.type)
        node.op = "StatefulPartitionedCall" if node.op == "While" else "PartitionedCall"
        for name in list(node.attr):
            del node.attr[name]
        node.attr["f"].func.name = body
        node.attr["Tin"].list.type.extend(types)
        node.attr["Tout"].list.type.extend(types)


def _plain_lists(graph: Any) -> None:
    """A list of one tensor is that tensor with a first axis of length one, in place."""
    import tensorflow as tf

    integer = tf.int32.as_datatype_enum
    added = tf.compat.v1.GraphDef()

    def zero(name: str) -> str:
        constant = added.node.add(name=name, op="Const")
        constant.attr["dtype"].type = integer
        constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(0, tf.int32))
        return name

    for node in graph.node:
        if not node.op.startswith("TensorList"):
            continue
        kind, element = node.op, node.attr["element_dtype"].type
        data = [name for name in node.input if not name.startswith("^")]
        control = [name for name in node.input if name.startswith("^")]
        for name in list(node.attr):
            del node.attr[name]
        if kind in {"TensorListFromTensor", "TensorListStack"}:
            node.op, operands = "Identity", data[:1]
            node.attr["T"].type = element
        elif kind == "TensorListGetItem":
            node.op, operands = "GatherV2", [*data[:2], zero(f"{node.name}/axis")]
            node.attr["Tparams"].type = element
            node.attr["Tindices"].type = node.attr["Taxis"].type = integer
        elif kind == "TensorListSetItem":
            node.op, operands = "ExpandDims", [data[2], zero(f"{node.name}/axis")]
            node.attr["T"].type = element
            node.attr["Tdim"].type = integer
        elif kind == "TensorListReserve":
            node.op, operands = "Const", []
            node.attr["dtype"].type = integer
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(0, tf.int32))
        else:
            raise BuildError("a loop uses its lists in an unknown way", where=node.name, got=kind)
        node.input[:] = [*operands, *control]
    graph.node.extend(added.node)
    _retype(graph)


def _retype(graph: Any) -> None:
    """Identities of what was a list take the type of what it is now."""
    import tensorflow as tf

    nodes = {node.name: node for node in graph.node}

    def type_of(name: str) -> int:
        node = nodes[name.partition(":")[0]]
        if node.op == "Identity" and node.attr["T"].type == tf.variant.as_datatype_enum:
            node.attr["T"].type = type_of(node.input[0])
        known = next(key for key in ("dtype", "T", "Tparams") if key in node.attr)
        return int(node.attr[known].type)

    for node in graph.node:
        if node.op == "Identity":
            type_of(node.name)
