"""A `.tflite` file in LiteRT's interpreter, fed and read in float whatever it computes in."""

from __future__ import annotations

import tempfile
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.backends.litert.tflite import check_tflite
from quantbench.core.isolated import run_isolated
from quantbench.errors import PredictionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

_ROOM_BYTES = 2 << 30  # to run a small model in, which says nothing of what it will ask for
_ROOM_FOLD = 8  # XNNPACK unpacks weights, and keeps both
_MOST_SECONDS = 600.0
_LIKELY = {  # what the interpreter says, and what is likely behind it
    "Select TensorFlow op": "an op was left to TensorFlow (Flex), which this runtime lacks: "
    "convert without SELECT_TF_OPS, or cut the post-processing off",
    "unresolved custom op": "a custom op that this runtime does not know",
    "Didn't find op": "the file was made for a newer runtime: update ai-edge-litert",
    "failed to prepare": "the op got types or shapes that its kernel cannot take: leave it in "
    "float, or quantize by another scheme",
    "failed to invoke": "the op cannot compute these values: leave it in float, or quantize by "
    "another scheme",
    "not a valid": "the file is no flatbuffer",
}


class LiteRTModel:
    """An opened model of one input.

    Integer inputs are `round(x / scale) + zero_point`, saturated; integer outputs are
    `(q - zero_point) * scale`, each with its own tensor's parameters (LiteRT 8-bit
    quantization specification). Outputs are named by the model's signature, or by their tensors
    in a file that has none.
    """

    def __init__(self, path: Path, threads: int) -> None:
        """Open the file.

        Raises:
            PredictionError: the interpreter cannot load it, or it takes several inputs.
        """
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        self.path = path
        self._refused = ""
        try:
            self._interpreter = Interpreter(str(path), num_threads=threads)
            try:
                self._interpreter.allocate_tensors()
            except RuntimeError as error:
                if "XNNPACK" not in str(error).upper():
                    raise
                # A runtime without the delegate would run it: so does this one, and says so.
                self._refused = str(error)
                self._interpreter = Interpreter(
                    str(path),
                    num_threads=threads,
                    experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
                )
                self._interpreter.allocate_tensors()
            inputs, self.outputs = _named_tensors(self._interpreter)
        except (ValueError, RuntimeError) as error:
            raise self._error("the LiteRT interpreter cannot load the model", error) from error
        if len(inputs) != 1:
            raise PredictionError(
                "a model must have one input", where=path, got=", ".join(sorted(inputs))
            )
        ((self.input_name, self.input),) = inputs.items()

    def __call__(self, values: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """One inference: float input of the model's shape to float outputs by name.

        Raises:
            PredictionError: the shape does not fit, or the interpreter failed.
        """
        try:
            self._interpreter.set_tensor(self.input["index"], quantize(values, self.input))
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            taken, fed = self.input["shape"].tolist(), list(np.shape(values))
            if taken != fed:
                raise PredictionError(
                    "the model's input has another shape",
                    where=self.path,
                    expected=taken,
                    got=fed,
                    remedy=_other_shape(taken, fed),
                ) from error
            raise self._error("the LiteRT interpreter failed", error) from error
        return {
            name: dequantize(self._interpreter.get_tensor(detail["index"]), detail)
            for name, detail in self.outputs.items()
        }

    def delegation(self) -> dict[str, Any]:
        """`delegate`, `ops` of the model, `delegated_ops`, and the `delegate_partitions`.

        `delegate_refused` is there, with its words, where XNNPACK would not take the model.
        """
        ops, partitions = self._listed()
        facts = {
            "delegate": "XNNPACK" if partitions else "none",
            "ops": len(ops),
            "delegated_ops": len(self.delegated()),
            "delegate_partitions": len(partitions),
        }
        return facts | ({"delegate_refused": self._refused} if self._refused else {})

    def delegated(self) -> set[int]:
        """Places of the ops that the delegate took, as the file orders them.

        Found by walking from what a partition writes back to what it reads.
        """
        ops, partitions = self._listed()
        writers = {int(tensor): i for i, op in enumerate(ops) for tensor in op["outputs"]}
        taken: set[int] = set()
        for partition in partitions:
            read = {int(tensor) for tensor in partition["inputs"]}
            ahead = [int(tensor) for tensor in partition["outputs"]]
            while ahead:
                tensor = ahead.pop()
                writer = writers.get(tensor)
                if tensor in read or writer is None or writer in taken:
                    continue
                taken.add(writer)
                ahead += [int(tensor) for tensor in ops[writer]["inputs"]]
        return taken

    def _listed(self) -> tuple[list[Any], list[Any]]:
        """The file's ops in its order, and the partitions of a delegate."""
        listed = self._interpreter._get_ops_details()  # noqa: SLF001 - no public way
        partitions = [op for op in listed if op["op_name"] == "DELEGATE"]
        return [op for op in listed if op["op_name"] != "DELEGATE"], partitions

    def close(self) -> None:
        """Drop the interpreter."""
        del self._interpreter

    def _error(self, what: str, error: object) -> PredictionError:
        said = str(error)
        likely = (remedy for sign, remedy in _LIKELY.items() if sign.lower() in said.lower())
        remedy = next(likely, "see the message: it is the runtime's own")
        return PredictionError(what, where=self.path, got=said, remedy=remedy)


@contextmanager
def opened(content: bytes, threads: int = 2) -> Iterator[LiteRTModel]:
    """A model that was built in memory, for the time of the block.

    Raises:
        PredictionError: as `LiteRTModel`.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(content)
        with closing(LiteRTModel(path, threads)) as model:
            yield model


def model_file(folder: Path) -> Path:
    """The one `.tflite` file of a folder.

    Raises:
        PredictionError: there is none, or several.
    """
    found = sorted(folder.glob("*.tflite"))
    if len(found) != 1:
        raise PredictionError(
            "expected one .tflite file", where=folder, got=[path.name for path in found]
        )
    return found[0]


def finished_model(folder: Path) -> Path | None:
    """The `.tflite` file of a folder that holds one, None where the model is in another format.

    A folder with a `saved_model.pb` is a SavedModel, whatever a converter left beside it.

    Anybody may have made it: its tables are checked, and a process of its own runs it first.

    Raises:
        PredictionError: there are several, or it is broken.
    """
    if not any(folder.glob("*.tflite")) or (folder / "saved_model.pb").exists():
        return None
    path = model_file(folder)
    check_tflite(path)
    room = _ROOM_BYTES + _ROOM_FOLD * path.stat().st_size
    run_isolated("quantbench.backends.litert.interpreter:run_on_noise", path, room, _MOST_SECONDS)
    return path


def _other_shape(taken: list[int], fed: list[int]) -> str:
    """What is likely behind an input that does not fit."""
    pictures = len(taken) == len(fed) == 4  # noqa: PLR2004 - batch, height, width, channels
    if pictures and taken == [fed[0], fed[3], fed[1], fed[2]]:
        return 'the model takes channels first: Detector(layout="nchw")'
    if pictures and taken == [fed[0], fed[2], fed[3], fed[1]]:
        return 'the model takes channels last: Detector(layout="nhwc")'
    return "describe the input as the model has it: Detector(size=(height, width), layout=...)"


def run_on_noise(path: Path) -> None:
    """Read a model as tools do, open it, and run it once on noise; raises as `LiteRTModel`."""
    from ai_edge_litert import schema_py_generated as schema

    schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    model = LiteRTModel(path, threads=1)
    noise = np.random.default_rng(0).uniform(size=model.input["shape"]).astype(np.float32)
    dtype = np.dtype(model.input["dtype"])
    if dtype.kind != "f":
        limits = np.iinfo(dtype)
        stored = limits.min + noise * (float(limits.max) - limits.min)
        noise = dequantize(stored, model.input)
    model(noise)


def quantize(values: NDArray[np.float32], detail: Mapping[str, Any]) -> NDArray[Any]:
    """Real values as the tensor stores them; float tensors pass through.

    An integer tensor without parameters takes the values as they are, rounded.
    """
    dtype = np.dtype(detail["dtype"])
    if dtype.kind == "f":
        return values.astype(dtype, copy=False)
    scale, zero_point = detail["quantization"]
    limits = np.iinfo(dtype)
    stored = np.rint(values / np.float32(scale or 1)) + zero_point
    return np.asarray(np.clip(stored, limits.min, limits.max), dtype=dtype)


def dequantize(stored: NDArray[Any], detail: Mapping[str, Any]) -> NDArray[np.float32]:
    """Stored values as real ones; float tensors pass through."""
    scale, zero_point = detail["quantization"]
    if scale == 0:
        return stored.astype(np.float32, copy=False)
    return np.asarray((stored.astype(np.float32) - zero_point) * np.float32(scale))


def _named_tensors(interpreter: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    if interpreter.get_signature_list():
        signature = interpreter.get_signature_runner()
        return signature.get_input_details(), signature.get_output_details()
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    return {detail["name"]: detail for detail in inputs}, {d["name"]: d for d in outputs}
