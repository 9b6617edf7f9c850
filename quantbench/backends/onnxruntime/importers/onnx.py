"""ONNX files as they come become ones that every tool takes: one file, of one size, lifted."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from quantbench.backends.onnxruntime.files import LOWEST_OPSET, check_onnx, onnx_file
from quantbench.backends.onnxruntime.session import answers_of
from quantbench.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from quantbench.study import Model

_CONSTANTS_APART, _IR_VERSION = 4, 8  # of the format
_MOST_BYTES = (2 << 30) - 1  # of one protocol buffer


class OnnxImporter:
    """An ONNX model of one input to `model.onnx`, float or already quantized.

    Dimensions without a size get the interface's, opsets below 13 are lifted, every node gets a
    name of its own, data of other files are read in, shapes are inferred. What it computes stays
    as it was.
    """

    tools = ("onnx", "onnxruntime")
    version = 1

    def build(self, model: Model, source: Path, folder: Path) -> None:
        """Check and write the model.

        Raises:
            PredictionError: the file is broken, or leads out of its folder.
            BuildError: it has several inputs, no size, or an opset that cannot be lifted.
        """
        path = onnx_file(source)
        graph = completed(check_onnx(path), _size_of(model.interface), path.name)
        if graph.ByteSize() > _MOST_BYTES:
            raise BuildError(
                "the model is larger than one ONNX file may be",
                where=path.name,
                expected=f"at most {_MOST_BYTES:,} bytes with all of its data",
                got=f"{graph.ByteSize():,}",
            )
        (folder / "model.onnx").write_bytes(graph.SerializeToString(deterministic=True))
        check_onnx(folder / "model.onnx")

    def answers(
        self, source: Path, samples: Sequence[NDArray[np.float32]]
    ) -> list[dict[str, NDArray[np.float32]]]:
        """What the file as it came answers, by ONNX Runtime."""
        return answers_of(onnx_file(source), samples)


def completed(model: Any, size: tuple[int, ...] | None, where: str) -> Any:
    """A `ModelProto` with a size, an opset, names and shapes; the one given is changed.

    Args:
        model: that `read_onnx` took.
        size: of the input, where the description says one.
        where: its file, for errors.

    Raises:
        BuildError: it has several inputs, no size, or an opset that cannot be lifted.
    """
    import onnx

    _check_ends(model, where)
    _fix_shapes(model, size, where)
    model = _lifted(model, where)
    _name_nodes(model)
    del model.graph.value_info[:]
    try:
        return onnx.shape_inference.infer_shapes(model, data_prop=True)
    except Exception as error:  # ONNX's own, which have no common class
        raise BuildError(
            "ONNX cannot infer the shapes of the model's tensors",
            where=where,
            got=str(error)[:500],
            remedy="export it again; onnx.checker.check_model says what is wrong with it",
        ) from error


def _check_ends(model: Any, where: str) -> None:
    """One input; that outputs are tensors is checked where the model is opened."""
    constant = {tensor.name for tensor in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in constant]
    if len(inputs) != 1:
        raise BuildError(
            "a model must have one input",
            where=where,
            got=", ".join(each.name for each in inputs)[:300] or "none",
            remedy="export it with the others folded in as constants",
        )
    # An initializer that is listed as an input too can be overridden: nobody does here.
    for each in [each for each in model.graph.input if each.name in constant]:
        model.graph.input.remove(each)


def _size_of(interface: Any) -> tuple[int, ...] | None:
    if interface is None or not hasattr(interface, "size"):
        return None
    height, width = interface.size
    return (1, 3, height, width) if interface.layout == "nchw" else (1, height, width, 3)


def _fix_shapes(model: Any, size: tuple[int, ...] | None, where: str) -> None:
    """Give the input its size where it leaves it open, and forget what outputs said of theirs."""
    (entry,) = model.graph.input
    dims = entry.type.tensor_type.shape.dim
    if not entry.type.tensor_type.HasField("shape"):  # all is open, the number of dimensions too
        for _ in size or ():
            dims.add()
    said = [max(dim.dim_value, 0) for dim in dims]  # some exporters write -1 where it is open
    if said and all(value > 0 for value in said):
        if size is not None and len(size) == len(said) and tuple(said) != size:
            raise BuildError(
                "the model's input has another size than its description",
                where=where,
                expected=f"{said}, as the file says",
                got=list(size),
                remedy="describe the input as the model has it: size=(height, width), "
                'layout="nchw" for channels first',
            )
        return
    if size is None or len(size) != len(said):
        raise BuildError(
            "the model does not say how large its input is",
            where=where,
            expected="a size, or a description of the input that has one: "
            "Model(interface=Detector(size=(height, width), layout=...))",
            got=f"{entry.name}: {[dim.dim_param or dim.dim_value or '?' for dim in dims]}",
        )
    for dim, own, value in zip(dims, said, size, strict=True):
        if own not in {0, value}:
            raise BuildError(
                "the model's input has another size than its description",
                where=where,
                expected=f"{own} in {said}, where 0 is open",
                got=list(size),
                remedy='describe the input as the model has it: layout="nchw" for channels first',
            )
        dim.dim_value = value
    for output in model.graph.output:  # the old ones may speak of the open dimensions
        output.type.tensor_type.ClearField("shape")


def _lifted(model: Any, where: str) -> Any:
    from onnx import version_converter

    (opset,) = [each.version for each in model.opset_import if each.domain in {"", "ai.onnx"}] or [
        LOWEST_OPSET
    ]
    if opset >= LOWEST_OPSET:
        return model
    if model.ir_version < _CONSTANTS_APART:  # constants were inputs too, which they are no more
        model.ir_version = _IR_VERSION
    try:
        return version_converter.convert_version(model, LOWEST_OPSET)
    except Exception as error:  # the converter's own, RuntimeError of C++ mostly
        raise BuildError(
            f"the model's opset {opset} cannot be lifted",
            where=where,
            expected=f"opset {LOWEST_OPSET}, from which weights can be quantized per channel",
            got=str(error)[:500],
            remedy=f"export it again with opset {LOWEST_OPSET} or later",
        ) from error


def _name_nodes(model: Any) -> None:
    """Tools leave nodes out by name: each has one, and no two the same."""
    nodes = model.graph.node
    said = Counter(node.name for node in nodes)
    taken = set(said)
    for i, node in enumerate(nodes):
        if not node.name or said[node.name] > 1:
            name = f"{node.op_type}_{i}"
            while name in taken:
                name += "_"
            node.name = name
            taken.add(name)
