"""An `.onnx` file in ONNX Runtime, fed and read in float."""

from __future__ import annotations

from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.errors import MissingDeviceError, PredictionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from quantbench.core.settings import Device

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
# By default float32 products are rounded to TF32 on GPUs that have it: no float reference.
_OPTIONS = {"CUDAExecutionProvider": {"use_tf32": "0"}}
_FLOATS = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
_NUMBERS = {
    f"tensor({kind})"
    for kind in ("float", "float16", "double", "int64", "int32", "int16", "int8", "uint8", "bool")
}
_FATAL = 4  # what is worse is said; errors are raised
_LIKELY = {
    "NOT_IMPLEMENTED": "the runtime has no kernel for this op and type: leave the op in float, or "
    "quantize by another scheme",
    "is not a registered": "the file was made for a newer runtime: update onnxruntime",
    "opset": "the file was made for a newer runtime: update onnxruntime, or export it at a lower "
    "opset",
    "IR version": "the file was made for a newer runtime: update onnxruntime",
    "No Op registered": "the op is not in the opset that the file says: update onnxruntime, or "
    "export the model again",
    "INVALID_GRAPH": "export it again; onnx.checker.check_model says what is wrong with it",
    "Protobuf parsing failed": "the file is no ONNX model",
}


class OnnxModel:
    """An opened model of one float input.

    A model with a float16 input takes float32 values, rounded. Outputs go by their names and are
    given as float32.
    """

    def __init__(
        self,
        model: Path | bytes,
        threads: int,
        device: Device = "cpu",
        *,
        optimized: bool = True,
        profiled: Path | None = None,
    ) -> None:
        """Open a file, or a model in memory; unoptimized, every op runs as the file says.

        `profiled` is an empty folder that ONNX Runtime's own profile is written into.

        Raises:
            PredictionError: ONNX Runtime cannot load it, takes another provider than was asked
                for, or the model has not one float input.
            MissingDeviceError: no GPU, or an ONNX Runtime without the provider.
        """
        import onnxruntime as ort

        self.where = "the model" if isinstance(model, bytes) else model
        provider = PROVIDERS[device]
        if provider not in ort.get_available_providers():
            raise MissingDeviceError(
                f"ONNX Runtime has no {provider} here",
                got=", ".join(ort.get_available_providers()),
                remedy="run this test on a machine with an NVIDIA GPU and onnxruntime-gpu",
            )
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = _FATAL
        if not optimized:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        if profiled is not None:
            options.enable_profiling = True
            options.profile_file_prefix = str(profiled / "profile")
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        try:
            content = model if isinstance(model, bytes) else str(model)
            asked = [(provider, _OPTIONS.get(provider, {}))]
            self._session = ort.InferenceSession(content, options, providers=asked)
        except Exception as error:  # its own classes, which have no common one
            raise self._error("ONNX Runtime cannot load the model", error) from error
        took = self._session.get_providers()
        if took[0] != provider:
            raise PredictionError(
                "ONNX Runtime runs the model elsewhere than it was asked to",
                where=self.where,
                expected=provider,
                got=", ".join(took),
            )
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or inputs[0].type not in _FLOATS:
            raise PredictionError(
                "a model must have one float input",
                where=self.where,
                got=", ".join(f"{each.name}: {each.type}" for each in inputs) or "no input",
                remedy="export it with one picture as its input, in float32 or float16; constants "
                "belong into the graph",
            )
        self.input_name, self.input_shape = inputs[0].name, inputs[0].shape
        self._dtype = _FLOATS[inputs[0].type]
        outputs = self._session.get_outputs()
        if strange := [each for each in outputs if each.type not in _NUMBERS]:
            raise PredictionError(
                "an output of the model is no tensor of numbers",
                where=self.where,
                expected="tensors",
                got=", ".join(f"{each.name}: {each.type}" for each in strange),
                remedy="export it without the op that makes it (a ZipMap, a SplitToSequence)",
            )
        self._outputs = [each.name for each in outputs]

    def __call__(self, values: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """One inference: float input of the model's shape to float outputs by name.

        Raises:
            PredictionError: the shape does not fit, or the runtime failed.
        """
        try:
            fed = {self.input_name: values.astype(self._dtype, copy=False)}
            said = self._session.run(self._outputs, fed)
        except Exception as error:
            raise self._shape_error(values) or self._error("ONNX Runtime failed", error) from error
        return {
            name: each.astype(np.float32, copy=False)
            for name, each in zip(self._outputs, said, strict=True)
        }

    def nodes(self) -> dict[str, int]:
        """How many nodes each execution provider took."""
        found: dict[str, int] = {}
        for part in self._session.get_provider_graph_assignment_info():
            found[part.ep_name] = found.get(part.ep_name, 0) + len(part.get_nodes())
        return dict(sorted(found.items()))

    def profile(self) -> str:
        """End profiling; the JSON that was written."""
        return Path(self._session.end_profiling()).read_text(encoding="utf-8")

    def close(self) -> None:
        """Drop the session."""
        self._session = None

    def _shape_error(self, values: NDArray[Any]) -> PredictionError | None:
        taken, fed = list(self.input_shape), list(np.shape(values))
        fits = len(taken) == len(fed) and all(
            not isinstance(own, int) or own == other for own, other in zip(taken, fed, strict=True)
        )
        if fits:
            return None
        return PredictionError(
            "the model's input has another shape",
            where=self.where,
            expected=taken,
            got=fed,
            remedy="describe the input as the model has it: size=(height, width), layout=...",
        )

    def _error(self, what: str, error: object) -> PredictionError:
        said = str(error).strip()
        likely = (remedy for sign, remedy in _LIKELY.items() if sign.lower() in said.lower())
        remedy = next(likely, "see the message: it is the runtime's own")
        return PredictionError(what, where=self.where, got=said[:2000], remedy=remedy)


@contextmanager
def opened(content: bytes, threads: int = 2) -> Iterator[OnnxModel]:
    """A model that was built in memory, for the time of the block.

    Raises:
        PredictionError: as `OnnxModel`.
    """
    with closing(OnnxModel(content, threads)) as model:
        yield model


def answers_of(
    path: Path, samples: Sequence[NDArray[np.float32]]
) -> list[dict[str, NDArray[np.float32]]]:
    """What a model answers to each sample, by output name."""
    with closing(OnnxModel(path, 2)) as model:
        return [model(sample) for sample in samples]


def run_on_noise(path: Path) -> None:
    """Open a model and run it once on noise; one without a size is only opened.

    Raises:
        PredictionError: as `OnnxModel`.
    """
    with closing(OnnxModel(path, 1)) as model:
        open_ = not model.input_shape or any(not isinstance(n, int) for n in model.input_shape)
        if open_:
            return  # the importer asks for the size, and runs it then
        noise = np.random.default_rng(0).uniform(size=model.input_shape).astype(np.float32)
        model(noise)
