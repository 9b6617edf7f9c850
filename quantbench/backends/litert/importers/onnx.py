"""ONNX models become SavedModels, whose convolutions have channels last as LiteRT's kernels do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from quantbench.backends.litert.importers.onnx_graph import as_function
from quantbench.diagnosis.tensorflow import start_tensorflow
from quantbench.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from quantbench.study import Model

_OLDEST = 13  # opset; before it the same ops mean other things


class ONNXImporter:
    """One `model.onnx` of one float32 input becomes a SavedModel of the same input and outputs.

    Names, shapes and the layout of what goes in and out stay as they are, but for letters that
    TensorFlow takes in no input's name. Of the outputs those stay that the description names, and
    what only the others need is left out.
    """

    tools = ("onnx", "tensorflow")
    version = 1

    def build(self, model: Model, source: Path, folder: Path) -> None:
        """Write the SavedModel.

        Raises:
            BuildError: not one `model.onnx`, not one float32 input of a fixed shape, an old opset,
                an output that is missing or no tensor, or an op that is not known here.
        """
        start_tensorflow()
        import tensorflow as tf

        described = _read(source)
        name, shape = _input(described)
        outputs = [each.name for each in described.graph.output]
        named = [output for _, output in getattr(model.interface, "outputs", ())]
        if missing := set(named) - set(outputs):
            raise BuildError(
                "the model has no such outputs", expected=sorted(missing), got=sorted(outputs)
            )
        wanted = [output for output in outputs if not named or output in named]
        spec = tf.TensorSpec(shape, tf.float32, name=_allowed(name))
        run = tf.function(as_function(described, wanted), input_signature=[spec], autograph=False)
        module = tf.Module()
        module.run = run.get_concrete_function()
        tf.saved_model.save(module, str(folder), signatures=module.run)

    def answers(
        self, source: Path, samples: Sequence[NDArray[np.float32]]
    ) -> list[dict[str, NDArray[Any]]]:
        """What ONNX Runtime itself answers to each sample, by output name."""
        import onnxruntime

        session = onnxruntime.InferenceSession(
            str(source / "model.onnx"), providers=["CPUExecutionProvider"]
        )
        (given,) = session.get_inputs()
        names = [each.name for each in session.get_outputs()]
        return [
            dict(zip(names, session.run(names, {given.name: sample}), strict=True))
            for sample in samples
        ]


def _allowed(name: str) -> str:
    """A name as TensorFlow takes it: `/head/x:0` is `head_x_0`."""
    return re.sub(r"[^A-Za-z0-9_.]", "_", name).lstrip("_") or "input"


def _read(source: Path) -> Any:
    """The model, with functions of its own written out."""
    import onnx
    from google.protobuf.message import DecodeError
    from onnx import inliner

    files = [path for path in source.rglob("*") if path.is_file()]
    if [path.name for path in files] != ["model.onnx"]:
        raise BuildError(
            "expected one file, model.onnx",
            where=source,
            got=sorted(path.name for path in files)[:10],
            remedy="save it with its weights inside (onnx.save without external data)",
        )
    try:
        model = onnx.load(files[0], load_external_data=False)
    except DecodeError as error:
        raise BuildError(
            "not an ONNX model that is whole", where=files[0], got=str(error)[:300]
        ) from error
    outside = sum(each.data_location == each.EXTERNAL for each in model.graph.initializer)
    if outside or model.graph.sparse_initializer:
        raise BuildError(
            "the model's weights are not inside, or sparse",
            where=files[0],
            got=f"{outside} in other files, {len(model.graph.sparse_initializer)} sparse",
            remedy="save it with its weights inside (onnx.save without external data)",
        )
    opset = max((e.version for e in model.opset_import if e.domain in {"", "ai.onnx"}), default=0)
    if opset < _OLDEST:
        raise BuildError(
            "the model's opset is too old",
            where=files[0],
            expected=f"opset {_OLDEST} or later",
            got=opset,
            remedy="lift it: onnx.version_converter.convert_version",
        )
    return inliner.inline_local_functions(model) if model.functions else model


def _input(model: Any) -> tuple[str, tuple[int, ...]]:
    """Name and shape of the one input."""
    import onnx

    stored = {each.name for each in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in stored]
    if len(inputs) != 1:
        raise BuildError("expected one input", got=[each.name for each in inputs])
    for each in (*inputs, *model.graph.output):
        if each.type.WhichOneof("value") != "tensor_type":
            raise BuildError(
                f"{each.name!r} is no tensor",
                expected="tensors go in and come out",
                got=each.type.WhichOneof("value"),
                remedy="export the model so that it answers with tensors, not with sequences",
            )
    (given,) = inputs
    tensor = given.type.tensor_type
    if tensor.elem_type != onnx.TensorProto.FLOAT:
        raise BuildError(
            "expected a float32 input",
            where=given.name,
            got=onnx.TensorProto.DataType.Name(tensor.elem_type),
        )
    lengths = tuple(int(each.dim_value) for each in tensor.shape.dim)  # 0 where it is open
    if not lengths or min(lengths) < 1:
        raise BuildError(
            "the model's input has no fixed shape",
            where=given.name,
            expected="numbers, the first of them 1",
            got=[each.dim_value or each.dim_param or "?" for each in tensor.shape.dim],
            remedy="export it at the size that it is to run at, or fix its axes: "
            "onnxruntime.tools.make_dynamic_shape_fixed",
        )
    return given.name, lengths
