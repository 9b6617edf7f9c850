"""OpenVINO's two files of a model: `model.xml`, the graph, and `model.bin`, its constants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quantbench.core.isolated import run_isolated
from quantbench.errors import BuildError, PredictionError

if TYPE_CHECKING:
    from pathlib import Path

_MOST_XML_BYTES = 256 << 20
_ROOM_BYTES = 3 << 30  # to run a model in
_ROOM_FOLD = 8
_MOST_SECONDS = 600.0
_TYPES = {  # how OpenVINO stores what schemes say
    "float32": {"f32"},
    "float16": {"f16"},
    "int8": {"i8", "u8"},
    "int4": {"i4", "u4"},
}
_NARROW = {"f16", "bf16", "i8", "u8", "i4", "u4"}
_NEXT_TO_NOTHING = 0.01


def model_file(folder: Path) -> Path:
    """The one `.xml` file of a folder.

    Raises:
        PredictionError: there is none, or several, or its `.bin` is missing.
    """
    found = sorted(folder.glob("*.xml"))
    if len(found) != 1 or not found[0].with_suffix(".bin").is_file():
        raise PredictionError(
            "expected one .xml file with its .bin beside it",
            where=folder,
            got=sorted(path.name for path in folder.iterdir())[:5],
        )
    return found[0]


def float_file(folder: Path, scheme: str) -> Path:
    """The float model that a scheme is made from; anybody may have made it.

    Raises:
        PredictionError: it is broken.
        BuildError: its weights are not in float32.
    """
    path = checked_file(folder)
    model = read(path)
    stored = stored_types(model)
    narrow = sum(size for kind, size in stored.items() if kind in _NARROW)
    rounded = sum(op.get_type_name() == "FakeQuantize" for op in model.get_ops())
    if rounded or narrow > _NEXT_TO_NOTHING * sum(stored.values()):
        raise BuildError(
            f"{scheme} starts from a float32 model",
            where=path.name,
            expected="weights in float32, and nothing rounded",
            got=f"{rounded} ops FakeQuantize; "
            + ", ".join(f"{size} bytes of {kind}" for kind, size in stored.items()),
            remedy="run it as it is: Model(schemes=('ov_as_shipped',), reference=None), or a "
            "reference=Model(...) of its float original",
        )
    return path


def checked_file(folder: Path) -> Path:
    """`model_file`, after one run in a process of its own.

    Raises:
        PredictionError: it is too large, or ends the process that opens it.
    """
    path = model_file(folder)
    if (size := path.stat().st_size) > _MOST_XML_BYTES:
        raise PredictionError(
            "the graph's file is too large", where=path, expected=f"{_MOST_XML_BYTES:,} bytes",
            got=f"{size:,}",
        )  # fmt: skip
    room = _ROOM_BYTES + _ROOM_FOLD * path.with_suffix(".bin").stat().st_size
    run_isolated("quantbench.backends.openvino.session:run_on_noise", path, room, _MOST_SECONDS)
    return path


def read(path: Path) -> Any:
    """A model of OpenVINO.

    Raises:
        PredictionError: it cannot be read.
    """
    import openvino as ov

    try:
        return ov.Core().read_model(path)
    except (RuntimeError, ValueError) as error:
        raise PredictionError(
            "OpenVINO cannot read the model",
            where=path,
            got=str(error).strip()[:1000],
            remedy="convert it again; do not use it if it stays so",
        ) from error


def save(model: Any, folder: Path, *, halved: bool = False) -> Path:
    """Write `model.xml` and `model.bin`; the same model gives the same bytes.

    Args:
        model: of OpenVINO.
        folder: that the files are written into.
        halved: store float32 constants as float16.
    """
    import openvino as ov

    taken = {op.get_friendly_name() for op in model.get_ops()}
    for i, op in enumerate(model.get_ordered_ops()):
        # Its own names of new constants count up over the whole process.
        stem, _, number = op.get_friendly_name().rpartition("_")
        if stem == op.get_type_name() and number.isdigit() and (own := f"{stem}:{i}") not in taken:
            op.set_friendly_name(own)
    path = folder / "model.xml"
    ov.save_model(model, path, compress_to_fp16=halved)
    return path


def stored_types(model: Any) -> dict[str, int]:
    """Bytes of constants by type, e.g. i8 and f32; numbers of shapes (i64) are left out."""
    found: dict[str, int] = {}
    for op in model.get_ops():
        if op.get_type_name() == "Constant":
            kind = op.get_element_type().get_type_name()
            size = int(op.get_byte_size())
            found[kind] = found.get(kind, 0) + size
    return {kind: size for kind, size in sorted(found.items()) if kind not in {"i64", "i32"}}


def check_stored(stored: dict[str, int], weights: str, where: str) -> None:
    """The constants are of the scheme's type.

    Raises:
        BuildError: next to none is.
    """
    wanted = sum(stored.get(kind, 0) for kind in _TYPES[weights])
    if wanted > _NEXT_TO_NOTHING * sum(stored.values()):
        return
    raise BuildError(
        f"the weights are not stored as {weights}",
        where=where,
        expected=f"constants of type {' or '.join(sorted(_TYPES[weights]))}",
        got=", ".join(f"{size} bytes of {kind}" for kind, size in stored.items()),
        remedy="the tool left the model as it was: it has no op that this scheme quantizes",
    )
