"""LiteRT schemes by ai-edge-quantizer, from a float `.tflite` file."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantbench.backends.litert.check import check_build
from quantbench.backends.litert.convert import float_file
from quantbench.backends.litert.mending.recipes import quietly
from quantbench.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from quantbench.study import Scheme

_SIGNATURE = "serving_default"
# activations: ops that break when they are quantized. Dynamic int8 BATCH_MATMUL answers infinity
# under XNNPACK; int8 DIV refuses divisors that round to zero.
_LEFT_IN_FLOAT = {
    "float32": ("BATCH_MATMUL",),
    "int8": ("BATCH_MATMUL", "DIV"),
    "int16": ("BATCH_MATMUL",),
}


class AEQQuantizer:
    """Float `.tflite` (a SavedModel is converted first) to `model.tflite`.

    `int8_dynamic_aeq`, `int8_static_aeq`, `int16x8_static_aeq` and `float16_aeq` mean what the
    names without the tool mean, with this tool's own choice of granularity and ranges;
    `int4_weight_aeq` stores weights in 4 bits and computes in float; `int8x4_static_aeq` stores
    them in 4 bits beside int8 activations, where the tool can. BATCH_MATMUL stays in float.
    """

    tools = ("ai-edge-quantizer", "ai-edge-litert", "tensorflow")
    version = 1

    def calibrated(self, scheme: Scheme) -> bool:
        """Where activations are stored as integers: their ranges are taken from samples."""
        return scheme.activations.startswith("int")

    def build(
        self,
        float_model: Path,
        scheme: Scheme,
        samples: Sequence[NDArray[Any]],
        folder: Path,
    ) -> Mapping[str, Any]:
        """Quantize and check; `samples` are float inputs of the model's shape.

        Raises:
            BuildError: the tool changed nothing, or the result does not check.
            PredictionError: the interpreter cannot run the result.
        """
        from ai_edge_quantizer.quantizer import Quantizer

        path = folder / "model.tflite"
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            source = float_file(float_model, samples, Path(temporary))
            tool = Quantizer(str(source))
            _configure(tool, scheme)
            ranges = None
            if tool.need_calibration:
                name = _input_name(source)
                ranges = tool.calibrate({_SIGNATURE: [{name: sample} for sample in samples]})
            with quietly():
                done = tool.quantize(
                    ranges, enable_progress_report=False, enable_progress_bar=False
                )
            done.export_model(str(path), overwrite=True)
        return {"converter": "ai-edge-quantizer", **check_build(path, samples, scheme.weights)}


def _configure(tool: Any, scheme: Scheme) -> None:
    from ai_edge_quantizer.qtyping import TFLOperationName as Op
    from ai_edge_quantizer.recipe_manager import AlgorithmName

    every, op = ".*", Op.ALL_SUPPORTED
    if scheme.weights == "float16":
        tool.add_weight_only_config(
            every, op, num_bits=16, algorithm_key=AlgorithmName.FLOAT_CASTING
        )
        return
    if scheme.name == "int4_weight_aeq":
        tool.add_weight_only_config(every, op, num_bits=4)
        return
    if scheme.static:
        bits = int(scheme.activations.removeprefix("int"))
        tool.add_static_config(every, op, activation_num_bits=bits, weight_num_bits=scheme.bits)
    else:
        tool.add_dynamic_config(every, op, num_bits=8)
    # After the rule for all ops: a later rule for all would wipe these.
    for name in _LEFT_IN_FLOAT[scheme.activations]:
        tool.update_quantization_recipe(
            regex=every, operation_name=Op[name], algorithm_key=AlgorithmName.NO_QUANTIZE
        )


def _input_name(path: Path) -> str:
    from ai_edge_litert.interpreter import Interpreter

    signatures = Interpreter(str(path)).get_signature_list()
    if _SIGNATURE not in signatures:
        raise BuildError(
            "a model without a signature cannot be calibrated",
            where=path.name,
            expected=_SIGNATURE,
            got=sorted(signatures),
            remedy="convert it again from its source, with a signature",
        )
    (name,) = signatures[_SIGNATURE]["inputs"]
    return str(name)
