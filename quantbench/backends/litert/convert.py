"""LiteRT schemes by TensorFlow's converter."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from typing import TYPE_CHECKING, Any

from quantbench.backends.litert.check import CHECKED, check_build
from quantbench.backends.litert.interpreter import finished_model
from quantbench.diagnosis.tensorflow import saved_model_answers, start_tensorflow
from quantbench.errors import BuildError
from quantbench.study import Scheme

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray


# activations: the converter's op set, and the type of inputs and outputs
_INTEGER = {
    "int8": ("TFLITE_BUILTINS_INT8", "int8"),
    "int16": ("EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8", "int16"),
}


# How its report names an op that LiteRT does not have.
_STRANGE_OP = re.compile(r"'tf\.(\w+)' op is neither a custom op nor a flex op")
# What the converter says of an op that has no integer kernel.
_NO_KERNEL = ("not yet supported", "not supported", "should be recorded during calibration")


class LiteRTQuantizer:
    """SavedModel to `model.tflite`.

    `float32` converts and optimises nothing; `float16` stores weights in half precision;
    `int8_dynamic` stores int8 weights and quantizes activations at run time, per tensor;
    `int8_static` makes ops int8, with int8 input and output, activation ranges being the minima
    and maxima over the calibration samples (Jacob et al., 2018; LiteRT 8-bit spec);
    `int16x8_static` the same with int16 activations. An op without an integer kernel stays in
    float, which the fact `float_ops_left` says.
    """

    tools = ("tensorflow", "ai-edge-litert")
    version = 2

    def calibrated(self, scheme: Scheme) -> bool:
        """Where activations are stored as integers: their ranges are taken from samples."""
        return scheme.static

    def build(
        self,
        float_model: Path,
        scheme: Scheme,
        samples: Sequence[NDArray[Any]],
        folder: Path,
    ) -> Mapping[str, Any]:
        """Convert and check; `samples` are float inputs of the model's shape.

        A float model that is a `.tflite` file already can only be taken as it is.

        Raises:
            BuildError: the converter refuses the model, or the result does not check.
            PredictionError: the interpreter cannot run the result.
        """
        path = folder / "model.tflite"
        if finished := finished_model(float_model):
            if scheme.name != "float32":
                raise BuildError(
                    "TensorFlow's converter starts from a graph, not from a .tflite file",
                    where=finished.name,
                    got=scheme.name,
                    remedy=f"quantize it by ai-edge-quantizer: scheme {scheme.name}_aeq",
                )
            shutil.copyfile(finished, path)
            return {"converter": "none", **check_build(path, samples, scheme.weights)}
        facts = convert(float_model, scheme, samples, path)
        meant = (
            saved_model_answers(float_model, samples[:CHECKED])
            if scheme.name == "float32"
            else None
        )
        return {**facts, **check_build(path, samples, scheme.weights, meant)}

    def answers(self, float_model: Path, samples: Sequence[NDArray[Any]]) -> list[dict[str, Any]]:
        """What the SavedModel itself answers, by TensorFlow."""
        return saved_model_answers(float_model, samples)


def float_file(float_model: Path, samples: Sequence[NDArray[Any]], temporary: Path) -> Path:
    """The float `.tflite` of a model: its own, or what TensorFlow converts it to."""
    finished = finished_model(float_model)
    if finished is not None:
        return finished
    path = temporary / "float.tflite"
    convert(float_model, Scheme.parse("float32"), samples, path)
    return path


def convert(
    float_model: Path, scheme: Scheme, samples: Sequence[NDArray[Any]], path: Path
) -> dict[str, Any]:
    """A SavedModel to a `.tflite` file at `path`, under one of TensorFlow's schemes.

    Raises:
        BuildError: the converter refuses the model.
    """
    start_tensorflow()
    import tensorflow as tf

    facts: dict[str, Any] = {"converter": f"tensorflow {tf.__version__}"}
    converter = tf.lite.TFLiteConverter.from_saved_model(str(float_model))
    if scheme.weights != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if scheme.weights == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if scheme.static:
        ops, dtype = _INTEGER[scheme.activations]

        def representative() -> Iterator[list[NDArray[Any]]]:
            for sample in samples:
                yield [sample]

        converter.representative_dataset = representative
        converter.target_spec.supported_ops = [getattr(tf.lite.OpsSet, ops)]
        converter.inference_input_type = converter.inference_output_type = tf.as_dtype(dtype)
    try:
        flat = converter.convert()
    except Exception as error:  # the converter raises its own, ValueError and RuntimeError
        if not scheme.static or not any(sign in str(error) for sign in _NO_KERNEL):
            raise _refused(scheme, error) from error
        # Ops without integer kernels (suppression, sorting) may stay in float.
        facts["float_ops_left"] = True
        converter.target_spec.supported_ops.append(tf.lite.OpsSet.TFLITE_BUILTINS)
        try:
            flat = converter.convert()
        except Exception as again:
            raise _refused(scheme, again) from again
    path.write_bytes(flat)
    return facts


def _refused(scheme: Scheme, error: Exception) -> BuildError:
    """Its report goes on for every place in the graph: the ops that it means are counted."""
    ops = Counter(_STRANGE_OP.findall(str(error)))
    counted = ", ".join(f"{kind} ({number})" for kind, number in sorted(ops.items()))
    return BuildError(
        f"TensorFlow's converter refuses {scheme.name}",
        expected="ops that LiteRT has kernels for" if ops else None,
        got=counted or f"{type(error).__name__}: {str(error).strip()[:2000]}",
        remedy="cut the op off that it names (Detector(outputs=...) chooses what is kept), or "
        "import the model with a fixed input size",
    )
