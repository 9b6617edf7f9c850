"""What every ONNX build must show about itself before it is stored."""

from __future__ import annotations

import tempfile
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantbench.backends.onnxruntime.files import (
    LOWEST_OPSET,
    check_onnx,
    onnx_file,
    ops_of,
    opset_of,
    read_onnx,
    stored_types,
)
from quantbench.backends.onnxruntime.session import OnnxModel
from quantbench.diagnosis.answers import check_finite
from quantbench.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

CHECKED = 3  # samples
_TYPES = {  # how ONNX stores what schemes say
    "float32": {"FLOAT"},
    "float16": {"FLOAT16"},
    "int8": {"INT8", "UINT8"},
    "int4": {"INT4", "UINT4", "UINT8"},  # MatMulNBits packs two into a byte
}
_WIDE = {"FLOAT", "DOUBLE", "INT64", "INT32", "BOOL", "STRING"}  # real values, and shapes
_QUANTIZED = {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulNBits"}
_NARROW = ("FLOAT16", "INT8", "UINT8", "INT4", "UINT4")
_NEXT_TO_NOTHING = 0.01


def float_graph(folder: Path, scheme: str) -> Path:
    """The float model that a scheme is made from.

    Raises:
        PredictionError: it is broken.
        BuildError: it was not imported, or is quantized or stored in a narrow type already.
    """
    path = imported_graph(folder)
    model = read_onnx(path)
    stored, kinds = stored_types(model), ops_of(model)
    quantized = sorted(kind for kind in kinds if kind in _QUANTIZED or kind.startswith("QLinear"))
    narrow = {kind: size for kind, size in stored.items() if kind not in _WIDE}
    if quantized or sum(narrow.values()) > _NEXT_TO_NOTHING * sum(stored.values()):
        raise BuildError(
            f"{scheme} starts from a float32 model",
            where=path.name,
            expected="weights in float32",
            got=f"ops {', '.join(quantized)}"
            if quantized
            else f"weights in {', '.join(narrow).lower()}",
            remedy="run it as it is: Model(schemes=('ort_as_shipped',), reference=None), or a "
            "reference=Model(...) of its float original",
        )
    return path


def imported_graph(folder: Path) -> Path:
    """The one file of a folder as importer `onnx` writes it.

    Raises:
        PredictionError: it is broken; anybody may have made it.
        BuildError: its opset is too low, or its data lie in other files: it was not imported.
    """
    import onnx

    path = onnx_file(folder)
    model = check_onnx(path)
    opset = opset_of(model)
    raw = onnx.load_model_from_string(path.read_bytes())
    outside = any(tensor.data_location == tensor.EXTERNAL for tensor in raw.graph.initializer)
    if opset < LOWEST_OPSET or outside:
        raise BuildError(
            "the ONNX file was not prepared",
            where=path.name,
            expected=f"one file of opset {LOWEST_OPSET} or later",
            got="data in other files" if outside else f"opset {opset}",
            remedy='say what it is, and it is: Model(format="onnx")',
        )
    return path


def check_build(
    path: Path, samples: Sequence[NDArray[np.float32]], weights: str | None = None
) -> dict[str, Any]:
    """Run a model on up to three samples; returns what is stored and what runs as facts.

    Args:
        path: the `.onnx` file.
        samples: prepared for the model.
        weights: how its weights must be stored (`Scheme.weights`), where that is known.

    Raises:
        BuildError: weights of another type, or an answer that is not finite.
        PredictionError: it is broken, or ONNX Runtime cannot load or run it.
    """
    model = read_onnx(path)
    stored = stored_types(model)
    if weights is not None:
        _check_stored(stored, weights, path)
    with closing(OnnxModel(path, threads=2)) as opened:
        for sample in samples[:CHECKED]:
            check_finite(opened(sample), path.name)
    return {
        "stored": stored,
        "opset": opset_of(model),
        "executed": executed(path),
    }


def executed(path: Path) -> dict[str, int]:
    """Ops by kind as the runtime has them after its own optimization, most first.

    What is fused away is gone, and `QLinearConv` shows that a convolution runs in int8.

    Raises:
        PredictionError: ONNX Runtime cannot load the model.
    """
    import onnx
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        optimized = Path(folder) / "optimized.onnx"
        options.optimized_model_filepath = str(optimized)
        ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        graph = onnx.load(str(optimized), load_external_data=False).graph
    return dict(Counter(node.op_type for node in graph.node).most_common())


def _check_stored(stored: dict[str, int], weights: str, path: Path) -> None:
    wanted = _TYPES[weights]
    narrow = sum(stored.get(kind, 0) for kind in _NARROW)
    total = sum(stored.values())
    mistaken = sum(stored.get(kind, 0) for kind in wanted) <= _NEXT_TO_NOTHING * total
    if weights == "float32":
        mistaken = narrow > _NEXT_TO_NOTHING * total
    if mistaken:
        raise BuildError(
            f"the weights are not stored as {weights}",
            where=path.name,
            expected=f"constants of type {' or '.join(sorted(wanted))}",
            got=", ".join(f"{size} bytes of {kind}" for kind, size in stored.items()),
            remedy="the tool left the model as it was: it has no op that this scheme quantizes",
        )
