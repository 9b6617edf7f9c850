"""Small ONNX models, and what ONNX Runtime and the importer's function answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.backends.litert.importers.onnx_graph import as_function

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

RNG = np.random.default_rng(0)


def normal(*shape: int) -> NDArray[np.float32]:
    return RNG.standard_normal(shape).astype(np.float32)


def node(kind: str, operands: str, made: str, **attributes: Any) -> Any:
    """`x w ->` names split at blanks; `-` leaves an operand out."""
    from onnx import helper

    names = ["" if name == "-" else name for name in operands.split()]
    return helper.make_node(kind, names, made.split(), **attributes)


def model(
    nodes: Sequence[Any],
    shape: Sequence[int | str],
    constants: Mapping[str, Any] | None = None,
    outputs: str = "y",
    opset: int = 17,
) -> Any:
    """A checked model of one input `x`."""
    import onnx
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        list(nodes),
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
        [helper.make_empty_tensor_value_info(name) for name in outputs.split()],
        [
            onnx.numpy_helper.from_array(np.asarray(value), name)
            for name, value in (constants or {}).items()
        ],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    return onnx.shape_inference.infer_shapes(made)


def by_runtime(made: Any, x: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    import onnxruntime

    session = onnxruntime.InferenceSession(
        made.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(names, {"x": x}), strict=True))


def by_tensorflow(made: Any, x: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    import tensorflow as tf

    names = [each.name for each in made.graph.output]
    run = tf.function(
        as_function(made, names),
        input_signature=[tf.TensorSpec(x.shape, tf.float32)],
        autograph=False,
    )
    return {name: value.numpy() for name, value in run(x).items()}


def assert_alike(made: Any, x: NDArray[np.float32] | None = None) -> None:
    """Both answer alike, to rounding."""
    if x is None:
        lengths = [each.dim_value for each in made.graph.input[0].type.tensor_type.shape.dim]
        x = normal(*lengths)
    meant, said = by_runtime(made, x), by_tensorflow(made, x)
    assert set(said) == set(meant)
    for name, values in meant.items():
        assert said[name].shape == values.shape
        assert said[name].dtype == values.dtype
        scale = max(1.0, float(np.abs(values.astype(np.float64)).max(initial=0.0)))
        np.testing.assert_allclose(said[name], values, rtol=0, atol=1e-5 * scale, err_msg=name)
