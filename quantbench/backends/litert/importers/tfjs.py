"""TensorFlow.js graph models become SavedModels.

A graph model is TensorFlow's GraphDef as JSON with its constants in separate binary files
(TensorFlow.js converter, "graph model" format). Three things stand between it and a converter:
the constants are filled in, ops that were fused for the browser are written as the plain ops that
they are, and weights that were stored in fewer bits are widened.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.backends.litert.importers.tfjs_files import LOOP_OPS, Shipped, read_graph_model
from quantbench.diagnosis.tensorflow import start_tensorflow
from quantbench.errors import BuildError, QuantbenchError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from quantbench.study import Model

_FUSED = {
    "_FusedConv2D": "Conv2D",
    "FusedDepthwiseConv2dNative": "DepthwiseConv2dNative",
    "_FusedMatMul": "MatMul",
}
_FUSED_ATTRIBUTES = ("fused_ops", "num_args", "epsilon", "leakyrelu_alpha", "TArgs")
_LOWEST = -5.0  # padding under everything that a max pooling sees
_PLAIN = {"BiasAdd", "Relu", "Relu6", "Elu", "LeakyRelu", "Sigmoid"}


class TFJSImporter:
    """`model.json` and its binary shards become a SavedModel; the graph stays as shipped."""

    tools = ("tensorflow",)
    version = 2
    fuse_hard_swish = False
    finite_padding = False

    def build(self, model: Model, source: Path, folder: Path) -> None:
        """Write a SavedModel; what `served` raises."""
        start_tensorflow()
        import tensorflow as tf

        module, serve = self.served(model, source)
        tf.saved_model.save(module, str(folder), signatures=serve)

    def served(self, model: Model, source: Path) -> tuple[Any, Any]:
        """A module, and its function with the input and outputs of the model's own signature.

        Of the outputs only those that the detector's description names, where it names any: what
        the browser adds (box decoding and sorting as graph ops) has no int8 kernels.

        Raises:
            BuildError: not one graph model, one that is not whole, or ops that are unknown.
        """
        shipped = read_graph_model(source)
        try:
            plain = _unfused(_filled(shipped))
            if self.fuse_hard_swish:
                _reorder_hard_swish(plain, shipped.weights)
            if self.finite_padding:
                _pad_finitely(plain)
            wanted = dict(model.interface.outputs).values() if model.interface else ()
            return _served(plain, shipped, set(wanted))
        except QuantbenchError:
            raise
        except Exception as error:  # TensorFlow raises its own, and Python's
            raise BuildError(
                "TensorFlow takes the graph for none",
                where=model.source,
                got=f"{type(error).__name__}: {str(error)[:500]}",
                remedy="fetch it again, or export it again from its source",
            ) from error


class TFJSHardSwishImporter(TFJSImporter):
    """The same, with hard-swish written in the order that LiteRT's converter fuses.

    Shipped as (x / 6) * relu6(x + 3), which the converter leaves as four ops; int8 then rounds
    x / 6 with the range of x, and AP falls to nothing. x * relu6(x + 3) / 6 is the same number.
    """

    fuse_hard_swish = True


class TFJSFinitePaddingImporter(TFJSImporter):
    """The same, with -5 where the graph pads a max pooling with minus infinity.

    No int8 range holds infinity: full int8 then finds nothing. What is pooled comes out of a leaky
    ReLU, whose values stay far above -5 here: float32 AP does not change.
    """

    finite_padding = True


def _filled(shipped: Shipped) -> Any:
    """The graph with its constants."""
    import tensorflow as tf
    from google.protobuf.json_format import ParseDict, ParseError

    try:
        graph = ParseDict(shipped.topology, tf.compat.v1.GraphDef())
    except ParseError as error:
        raise ValueError(error) from error
    for node in graph.node:
        if node.op == "Const":
            # The browser has no int64, the graph still asks for it.
            dtype = tf.as_dtype(node.attr["dtype"].type)
            value = tf.make_tensor_proto(shipped.weights[node.name], dtype)
            node.attr["value"].tensor.CopyFrom(value)
    return graph


def _unfused(graph: Any) -> Any:
    """Conv2D with a fused bias and activation as Conv2D, BiasAdd, activation."""
    import tensorflow as tf

    plain = tf.compat.v1.GraphDef(versions=graph.versions, library=graph.library)
    for node in graph.node:
        if node.op not in _FUSED:
            plain.node.add().CopyFrom(node)
            continue
        fused = [op.decode() for op in node.attr["fused_ops"].list.s]
        if unknown := set(fused) - _PLAIN:
            raise BuildError("a fused op is unknown", where=node.name, got=sorted(unknown))
        operands = list(node.input)
        names = [f"{node.name}/unfused_{i}" for i in range(len(fused))] + [node.name]
        base = plain.node.add(name=names[0], op=_FUSED[node.op], input=operands[:2])
        for key, value in node.attr.items():
            if key not in _FUSED_ATTRIBUTES:
                base.attr[key].CopyFrom(value)
        for i, op in enumerate(fused):
            extra = operands[2:3] if op == "BiasAdd" else []
            step = plain.node.add(name=names[i + 1], op=op, input=[names[i], *extra])
            step.attr["T"].CopyFrom(node.attr["T"])
            if op == "LeakyRelu":
                step.attr["alpha"].CopyFrom(node.attr["leakyrelu_alpha"])
    return plain


def _reorder_hard_swish(graph: Any, weights: Mapping[str, NDArray[Any]]) -> None:
    """(c * x) * relu6(x + 3) becomes (x * relu6(x + 3)) * c, in place.

    Products are found in either order of their factors; c * x must have no other reader.

    Raises:
        BuildError: the graph has no such product.
    """
    nodes = {node.name: node for node in graph.node}
    readers = Counter(name for node in graph.node for name in node.input)
    found = 0
    for outer in graph.node:
        factors = [nodes.get(name) for name in outer.input] if outer.op == "Mul" else []
        by_op = {factor.op: factor for factor in factors if factor is not None}
        if set(by_op) != {"Mul", "Relu6"} or readers[by_op["Mul"].name] != 1:
            continue
        inner, gate = by_op["Mul"], by_op["Relu6"]
        shifted = nodes[gate.input[0]]
        sixth, x = sorted(inner.input, key=lambda name: name not in weights)
        if sixth in weights and shifted.op.startswith("Add") and x in shifted.input:
            inner.input[:] = [x, gate.name]
            outer.input[:] = [inner.name, sixth]
            found += 1
    if found == 0:
        raise BuildError(
            "no hard-swish was found to reorder",
            expected="(c * x) * relu6(x + 3)",
            remedy="use the importer tfjs, which leaves the graph as shipped",
        )


def _pad_finitely(graph: Any) -> None:
    """Constants that fill PadV2 become finite, in place.

    Raises:
        BuildError: none is infinite.
    """
    import tensorflow as tf

    fills = {node.input[2] for node in graph.node if node.op == "PadV2"}
    found = 0
    for node in graph.node:
        if node.name in fills and node.op == "Const":
            value = tf.make_ndarray(node.attr["value"].tensor)
            if np.isneginf(value).all():
                finite = np.full_like(value, _LOWEST)
                node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(finite))
                found += 1
    if found == 0:
        raise BuildError(
            "no infinite padding was found",
            expected="PadV2 filled with minus infinity",
            remedy="use the importer tfjs, which leaves the graph as shipped",
        )


def _served(graph: Any, shipped: Shipped, wanted: set[str]) -> tuple[Any, Any]:
    """A module that answers the wanted outputs, or all, and what it is `serve`d by.

    Raises:
        BuildError: an output is missing, or what is kept loops.
    """
    import tensorflow as tf

    imported = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(graph, name=""), [])
    if missing := wanted - set(shipped.outputs):
        raise BuildError(
            "the model has no such outputs", expected=sorted(missing), got=sorted(shipped.outputs)
        )
    ((name, fed),) = shipped.inputs.items()
    placeholder = imported.graph.get_tensor_by_name(fed)
    kept = {
        key: imported.graph.get_tensor_by_name(tensor)
        for key, tensor in shipped.outputs.items()
        if not wanted or key in wanted
    }
    module = tf.Module()
    module.run = imported.prune(placeholder, kept)
    if loops := {op.type for op in module.run.graph.get_operations()} & LOOP_OPS:
        raise BuildError(
            "the outputs come out of a loop",
            got=", ".join(sorted(loops)),
            remedy="name outputs that come before it: Detector(outputs=...)",
        )
    spec = tf.TensorSpec(placeholder.shape, tf.float32, name=name)
    return module, tf.function(module.run, input_signature=[spec])
