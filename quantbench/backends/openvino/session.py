"""A model in OpenVINO, fed and read in float."""

from __future__ import annotations

from collections import Counter
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.backends.openvino.files import read
from quantbench.errors import PredictionError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

# What is not quantized is computed in float32: on processors with AMX the default is bfloat16,
# and then neither the reference nor the rest of a quantized model is what it is called.
PRECISION = "f32"
_FLOATS = {"f32", "f16"}


class OpenVinoModel:
    """A compiled model of one float input. Outputs go by their names, as float32."""

    def __init__(
        self, model: Path | Any, threads: int, *, streams: int = 1, profiled: bool = False
    ) -> None:
        """Compile a file, or a model in memory.

        Args:
            model: path of its `.xml`, or OpenVINO's own.
            threads: of the processor.
            streams: inferences that may run at once, each on its share of the threads.
            profiled: ops are timed (`times`).

        Raises:
            PredictionError: OpenVINO cannot read or compile it, computes in another type than was
                asked for, or the model has not one input.
        """
        import openvino as ov

        is_path = hasattr(model, "suffix")
        self.where = model.name if is_path else "the model"
        graph = read(model) if is_path else model
        try:
            self._compiled = ov.Core().compile_model(
                graph,
                "CPU",
                {
                    "PERFORMANCE_HINT": "LATENCY",
                    "INFERENCE_PRECISION_HINT": PRECISION,
                    "INFERENCE_NUM_THREADS": threads,
                    "NUM_STREAMS": streams,
                    "PERF_COUNT": profiled,
                },
            )
            self._request = self._compiled.create_infer_request()
        except (RuntimeError, ValueError, TypeError) as error:
            raise self._error("OpenVINO cannot compile the model", error) from error
        computes = self._compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        if computes != PRECISION:
            raise PredictionError(
                "OpenVINO computes in another type than it was asked to",
                where=self.where,
                expected=PRECISION,
                got=computes,
            )
        inputs = self._compiled.inputs
        kinds = {each.element_type.get_type_name() for each in inputs}
        if len(inputs) != 1 or not kinds <= _FLOATS or not inputs[0].partial_shape.is_static:
            raise PredictionError(
                "a model must have one float input of a fixed size",
                where=self.where,
                got=", ".join(
                    f"{each.any_name}: {each.element_type.get_type_name()} {each.partial_shape}"
                    for each in inputs
                )
                or "no input",
                remedy="convert it again with one float input whose size is fixed; a SavedModel or "
                "an ONNX file gets the size of its description: size=(height, width)",
            )
        self.input_shape = list(self._compiled.input(0).shape)
        self._outputs = [_name_of(each, i) for i, each in enumerate(self._compiled.outputs)]

    def __call__(self, values: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """One inference: float input of the model's shape to float outputs by name.

        Raises:
            PredictionError: the shape does not fit, or OpenVINO failed.
        """
        return dict(zip(self._outputs, self.in_order(values), strict=True))

    def in_order(self, values: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """The same as a list, in the order of the model's outputs.

        Raises:
            PredictionError: the shape does not fit, or OpenVINO failed.
        """
        if list(values.shape) != self.input_shape:
            raise PredictionError(
                "the model's input has another shape",
                where=self.where,
                expected=self.input_shape,
                got=list(values.shape),
                remedy="describe the input as the model has it: size=(height, width), layout=...",
            )
        try:
            said = self._request.infer([values], share_inputs=True, share_outputs=False)
        except RuntimeError as error:
            raise self._error("OpenVINO failed", error) from error
        return [np.asarray(said[i], np.float32) for i in range(len(self._outputs))]

    def another(self) -> OpenVinoModel:
        """The same compiled model for another thread, with a request of its own."""
        made = copy(self)
        made._request = self._compiled.create_infer_request()  # noqa: SLF001 - of its own class
        return made

    def times(self) -> list[Any]:
        """OpenVINO's performance counts of the last inference (`ProfilingInfo`), as they ran."""
        return [
            each for each in self._request.profiling_info if str(each.status).endswith("EXECUTED")
        ]

    def kernels(self) -> dict[str, int]:
        """How many ops each kernel runs, e.g. `brgconv_avx512_amx_1x1_i8`; most first."""
        counted: Counter[str] = Counter()
        for op in self._compiled.get_runtime_model().get_ops():
            said = {
                name: getattr(value, "value", value) for name, value in op.get_rt_info().items()
            }
            kernel = str(said.get("primitiveType", "unknown"))
            if not kernel.startswith("unknown") and said.get("layerType") != "Const":
                counted[kernel] += 1
        return dict(counted.most_common())

    def _error(self, what: str, error: object) -> PredictionError:
        return PredictionError(
            what,
            where=self.where,
            got=str(error).strip()[:2000],
            remedy="see the message: it is the runtime's own; leave the op that it names in float",
        )


def _name_of(output: Any, place: int) -> str:
    """An output's name; where it has none, its place: what is traced has none."""
    return str(output.any_name) if output.names else f"output {place}"


def run_on_noise(path: Path) -> None:
    """Compile a model and run it once on noise.

    Raises:
        PredictionError: as `OpenVinoModel`.
    """
    model = OpenVinoModel(path, 1)
    noise = np.random.default_rng(0).uniform(size=model.input_shape)
    model(noise.astype(np.float32))
