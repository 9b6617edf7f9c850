"""LiteRT schemes by TensorFlow's converter."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from quantbench.study import Scheme


# activations: the converter's op set, and the type of inputs and outputs
_INTEGER = {
    "int8": ("TFLITE_BUILTINS_INT8", "int8"),
    "int16": ("EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8", "int16"),
}


class LiteRTQuantizer:
    """SavedModel to `model.tflite`.

    `float32` converts and optimises nothing; `float16` stores weights in half precision;
    `int8_dynamic` stores int8 weights and quantizes activations at run time, per tensor;
    `int8_static` makes every op int8, with int8 input and output, activation ranges being the
    minima and maxima over the calibration samples (Jacob et al., 2018; LiteRT 8-bit spec);
    `int16x8_static` the same with int16 activations.
    """

    tools = ("tensorflow",)
    version = 1

    def build(
        self,
        float_model: Path,
        scheme: Scheme,
        calibration: Sequence[NDArray[Any]],
        folder: Path,
    ) -> Mapping[str, Any]:
        """Convert; `calibration` holds float inputs of the model's shape."""
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        import tensorflow as tf

        converter = tf.lite.TFLiteConverter.from_saved_model(str(float_model))
        if scheme.weights != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if scheme.weights == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if scheme.calibrated:
            ops, dtype = _INTEGER[scheme.activations]

            def representative() -> Iterator[list[NDArray[Any]]]:
                for sample in calibration:
                    yield [sample]

            converter.representative_dataset = representative
            converter.target_spec.supported_ops = [getattr(tf.lite.OpsSet, ops)]
            converter.inference_input_type = converter.inference_output_type = tf.as_dtype(dtype)
        flat = converter.convert()
        (folder / "model.tflite").write_bytes(flat)
        return {"converter": f"tensorflow {tf.__version__}"}
