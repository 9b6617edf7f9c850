"""An `.onnx` file, bounded before anything opens it.

Protocol buffers are parsed by their own library, which stays inside the file. What the file leads
to is checked here: data in other files, ops that only a library of somebody's own runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantbench.core.isolated import run_isolated
from quantbench.errors import PredictionError

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_BYTES = (2 << 30) - 1  # of a protocol buffer
_MOST_DEPTH = 8  # graphs within graphs
_DOMAINS = {"", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc"}
_ROOM_BYTES = 3 << 30  # to run a model in
_ROOM_FOLD = 8
_MOST_SECONDS = 600.0


def onnx_file(folder: Path) -> Path:
    """The one `.onnx` file of a folder.

    Raises:
        PredictionError: there is none, or several.
    """
    found = sorted(folder.glob("*.onnx"))
    if len(found) != 1:
        raise PredictionError(
            "expected one .onnx file",
            where=folder,
            got=[path.name for path in found] or sorted(path.name for path in folder.iterdir())[:5],
        )
    return found[0]


def read_onnx(path: Path) -> Any:
    """The `ModelProto` of a file, with the data of other files beside it read in.

    Raises:
        PredictionError: it is no ONNX model, leads out of its folder, lacks its data, or has ops
            of a custom library.
    """
    import onnx
    from google.protobuf.message import DecodeError

    if not 0 < path.stat().st_size <= _MOST_BYTES:
        raise _refused(path, f"a file of {path.stat().st_size:,} bytes", f"1 to {_MOST_BYTES:,}")
    try:
        model = onnx.load_model_from_string(path.read_bytes())
        _check_model(model, path)
        if any(tensor.data_location == tensor.EXTERNAL for tensor in _tensors(model.graph)):
            onnx.load_external_data_for_model(model, str(path.parent))
    except (DecodeError, ValueError, OSError, KeyError, TypeError) as error:
        raise _refused(path, f"{type(error).__name__}: {str(error)[:300]}") from error
    return model


def check_onnx(path: Path) -> Any:
    """`read_onnx`, and one run on noise in a process of its own.

    Raises:
        PredictionError: as `read_onnx`; or the file ends the process that opens it.
    """
    model = read_onnx(path)
    room = _ROOM_BYTES + _ROOM_FOLD * path.stat().st_size
    run_isolated("quantbench.backends.onnxruntime.session:run_on_noise", path, room, _MOST_SECONDS)
    return model


def stored_types(model: Any) -> dict[str, int]:
    """Bytes of constants by type, e.g. INT8 and FLOAT."""
    import onnx

    found: dict[str, int] = {}
    for tensor in _tensors(model.graph):
        kind = onnx.TensorProto.DataType.Name(tensor.data_type)
        found[kind] = found.get(kind, 0) + _size_of(tensor)
    return dict(sorted(found.items()))


def _size_of(tensor: Any) -> int:
    if tensor.raw_data:
        return len(tensor.raw_data)
    return sum(
        len(getattr(tensor, name)) * width
        for name, width in (("float_data", 4), ("int32_data", 4), ("int64_data", 8))
    )


def _check_model(model: Any, path: Path) -> None:
    if not model.graph.node or not model.opset_import:
        raise ValueError("no graph")
    strange = sorted({node.domain for node in _nodes(model.graph)} - _DOMAINS - _own(model))
    if strange:
        raise PredictionError(
            "the model has ops that only a library of its own runs",
            where=path.name,
            expected="ops of ONNX or of ONNX Runtime",
            got=f"domain {', '.join(repr(each[:60]) for each in strange[:5])}",
            remedy="export it without custom ops: quantbench loads no op libraries",
        )
    for tensor in _tensors(model.graph):
        if tensor.data_location == tensor.EXTERNAL:
            _check_external(tensor, path)


def _own(model: Any) -> set[str]:
    """Domains of the functions that the model itself defines."""
    return {function.domain for function in model.functions}


def _check_external(tensor: Any, path: Path) -> None:
    """A tensor's bytes lie in a file of the model's own folder, and are there."""
    described = {entry.key: entry.value for entry in tensor.external_data}
    location = described.get("location", "")
    there = path.parent / location
    inside = there.resolve().is_relative_to(path.parent.resolve())
    if not location or Path(location).is_absolute() or not inside:
        raise PredictionError(
            "the model's data lie outside of its folder",
            where=path.name,
            expected="files beside the model",
            got=repr(location[:200]),
            remedy="do not use it; or save the model again with its data beside it",
        )
    if not there.is_file():
        raise PredictionError(
            "the model's data are missing",
            where=path.name,
            expected=f"{location[:200]} beside it",
            remedy="fetch that file too: a folder as the source takes all of its files",
        )
    offset, length = (int(described.get(name) or 0) for name in ("offset", "length"))
    if min(offset, length) < 0 or offset + length > there.stat().st_size:
        raise ValueError(f"{length:,} bytes at {offset:,} of {location[:200]}")


def _graphs(graph: Any, depth: int = 0) -> Iterator[Any]:
    """A graph and those that its branches and loops have."""
    if depth > _MOST_DEPTH:
        raise ValueError("graphs within graphs without end")
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g, depth + 1)
            for each in attribute.graphs:
                yield from _graphs(each, depth + 1)


def _nodes(graph: Any) -> Iterator[Any]:
    for each in _graphs(graph):
        yield from each.node


def _tensors(graph: Any) -> Iterator[Any]:
    """All constants, those of attributes too."""
    for each in _graphs(graph):
        yield from each.initializer
        for node in each.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors


def _refused(path: Path, got: str, expected: str = "a whole ONNX model") -> PredictionError:
    return PredictionError(
        "not a valid .onnx file",
        where=path,
        expected=expected,
        got=got,
        remedy="fetch or export it again; do not use it if it stays so",
    )
