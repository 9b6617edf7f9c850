"""An `.onnx` file, bounded before anything opens it.

Protocol buffers are parsed by their own library, which stays inside the file. What the file leads
to is checked here: data in other files, ops that only a library of somebody's own runs.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantbench.core.isolated import run_isolated
from quantbench.errors import PredictionError

if TYPE_CHECKING:
    from collections.abc import Iterator

LOWEST_OPSET = 13  # per-channel QuantizeLinear
_MOST_BYTES = (2 << 30) - 1  # of a protocol buffer
_MOST_DEPTH = 8  # graphs within graphs
_ONNX = {"", "ai.onnx"}  # two names of one domain
_DOMAINS = {*_ONNX, "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc"}
_NO_OPSET = 1 << 31
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
        _read_in(model, path)
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
    for tensor in _tensors(model):
        kind = onnx.TensorProto.DataType.Name(tensor.data_type)
        found[kind] = found.get(kind, 0) + _size_of(tensor)
    return dict(sorted(found.items()))


def ops_of(model: Any) -> set[str]:
    """Kinds of its nodes, those of branches, loops and functions too."""
    return {part.op_type for part in _parts(model) if part.DESCRIPTOR.name == "NodeProto"}


def opset_of(model: Any) -> int:
    """The version of ONNX's own ops."""
    return max((each.version for each in model.opset_import if each.domain in _ONNX), default=0)


def _size_of(tensor: Any) -> int:
    if tensor.raw_data:
        return len(tensor.raw_data)
    return sum(
        len(getattr(tensor, name)) * width
        for name, width in (("float_data", 4), ("int32_data", 4), ("int64_data", 8))
    )


def _check_model(model: Any, path: Path) -> None:
    import onnx

    if not model.graph.node:
        raise ValueError("no graph")
    for part in _parts(model):
        for field, value in part.ListFields():
            if field.type == field.TYPE_STRING and isinstance(value, bytes):
                raise ValueError(f"{field.name} of a {part.DESCRIPTOR.name} is no text")
    for tensor in _tensors(model):
        onnx.TensorProto.DataType.Name(tensor.data_type)
    used = {part.domain for part in _parts(model) if isinstance(part, onnx.NodeProto)}
    said = [each.version for each in model.opset_import if each.domain in _ONNX]
    if (said or used & _ONNX) and not (len(said) == 1 and 0 < said[0] < _NO_OPSET):
        raise ValueError(f"one opset is to be said, not {said}")
    if strange := sorted(used - _DOMAINS - _own(model)):
        raise PredictionError(
            "the model has ops that only a library of its own runs",
            where=path.name,
            expected="ops of ONNX or of ONNX Runtime",
            got=f"domain {', '.join(repr(each[:60]) for each in strange[:5])}",
            remedy="export it without custom ops: quantbench loads no op libraries",
        )


def _read_in(model: Any, path: Path) -> None:
    """Put the data of other files where they belong."""
    outside = [each for each in _tensors(model) if each.data_location == each.EXTERNAL]
    places = [_place_of(tensor, path) for tensor in outside]
    if (total := sum(length for *_, length in places)) > _MOST_BYTES:  # one file, named often
        raise ValueError(f"{total:,} bytes of data in other files, of at most {_MOST_BYTES:,}")
    for tensor, (there, offset, length) in zip(outside, places, strict=True):
        with there.open("rb") as file:
            file.seek(offset)
            tensor.raw_data = file.read(length)
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")


def _own(model: Any) -> set[str]:
    """Domains of the functions that the model itself defines."""
    return {function.domain for function in model.functions}


def _place_of(tensor: Any, path: Path) -> tuple[Path, int, int]:
    """File, offset and length of a tensor's bytes: in the model's own folder, and there."""
    described = {entry.key: entry.value for entry in tensor.external_data}
    location = described.get("location", "")
    there = path.parent / location
    inside = Path(os.path.realpath(there)).is_relative_to(path.parent.resolve())
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
    held = there.stat().st_size
    if min(offset, length) < 0 or offset + length > held:
        raise ValueError(f"{length:,} bytes at {offset:,} of {location[:200]}")
    return there, offset, length or held - offset


def _parts(model: Any) -> Iterator[Any]:
    """The model and all that it is made of, functions and branches too."""
    ahead = [(model, 0)]
    while ahead:
        part, depth = ahead.pop()
        depth += part.DESCRIPTOR.name == "GraphProto"
        if depth > _MOST_DEPTH:
            raise ValueError("graphs within graphs without end")
        yield part
        for field, value in part.ListFields():
            if field.message_type is not None:
                ahead += [(each, depth) for each in (value if field.is_repeated else (value,))]


def _tensors(model: Any) -> Iterator[Any]:
    """All constants: of graphs, of attributes, of functions, sparse ones too."""
    return (part for part in _parts(model) if part.DESCRIPTOR.name == "TensorProto")


def _refused(path: Path, got: str, expected: str = "a whole ONNX model") -> PredictionError:
    return PredictionError(
        "not a valid .onnx file",
        where=path,
        expected=expected,
        got=got,
        remedy="fetch or export it again; do not use it if it stays so",
    )
