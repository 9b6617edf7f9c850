"""A model that NNCF quantized, with some of its ops back in float.

NNCF chooses the ranges; an op goes back by reading what it read before: its inputs unrounded, its
weights and bias as they were. That is what NNCF's own accuracy control does, and takes no new
calibration for each set of ops.
"""

from __future__ import annotations

import hashlib
import tempfile
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.backends.openvino.files import read, save
from quantbench.backends.openvino.graph import CARRIES, WEIGHTED, OpenVinoGraph, tensor_of
from quantbench.backends.openvino.quantizers.static import quantized
from quantbench.diagnosis.recipe_files import MixedRecipe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from quantbench.core.progress import Step
    from quantbench.diagnosis.mending.candidates import Found
    from quantbench.diagnosis.wiring import WiredOp

PRESETS = {"performance": "symmetric activations", "mixed": "asymmetric activations"}
_LENGTH = 8  # bytes that say how long the graph's file is, in a model's content


class Reverted:
    """What the search asks of OpenVINO (`Mendable`): a setting is a preset of NNCF's."""

    start = PRESETS["mixed"]
    carries = CARRIES

    def __init__(self, content: bytes, samples: Sequence[NDArray[Any]], step: Step) -> None:
        """Quantize wholly, once a preset.

        Args:
            content: of the float model (`packed`).
            samples: prepared, that NNCF calibrates with.
            step: is told what is done next and of how many parts.
        """
        self._content, self._samples = content, samples
        self.float_bytes = len(content)
        self.wiring = OpenVinoGraph(unpacked(content))
        advance = step("quantizing by NNCF", len(PRESETS))
        self._whole = {}
        for preset in PRESETS:
            self._whole[preset] = quantized(self.wiring.model, samples, preset)
            advance(1)

    @property
    def settings(self) -> dict[str, str]:
        """Presets, by what they mean."""
        return {rule: preset for preset, rule in PRESETS.items()}

    @cached_property
    def tensors(self) -> list[str]:
        """Those that NNCF rounds whatever the preset, and that an op writes."""
        both = [set(OpenVinoGraph(model).roundings) for model in self._whole.values()]
        rounded = set.intersection(*both)
        return [t for op in self.wiring.ops for t in op.outputs if t in rounded]

    def build(self, preset: str, kept: Mapping[str, str]) -> bytes:
        """NNCF's model with these ops in float."""
        return packed(reverted(self._whole[preset], self.wiring, kept))

    def rounded_alone(self, preset: str, tensor: str) -> bytes:
        """The float model with one tensor in 8 bits of the range that NNCF gave it."""
        from openvino import opset13

        changed = OpenVinoGraph(self.wiring.model.clone())
        node = OpenVinoGraph(self._whole[preset]).roundings[tensor]
        ends = [node.input_value(i).get_node().get_data() for i in range(1, 5)]
        output = changed.real[tensor]
        readers = list(output.get_target_inputs())
        rounded = opset13.fake_quantize(output, *ends, levels=node.get_attributes()["levels"])
        for each in readers:
            each.replace_source_output(rounded.output(0))
        return packed(changed.model)

    def alternatives(self, preset: str, tensor: str) -> list[str]:
        """None: NNCF chooses ranges for the model as a whole."""
        del preset, tensor
        return []

    def extra_bytes(self, op: WiredOp[str]) -> int:
        """What an op's weights take more in float32 than in int8."""
        if op.kind not in WEIGHTED or not self.wiring.is_constant(op.inputs[1]):
            return 0
        own = next(each for each in self.wiring.ops if each.index == op.index)
        return 3 * int(np.prod(list(own.node.get_input_shape(1))))

    def recipe(self, found: Found[str]) -> MixedRecipe:
        """The preset, how many samples calibrate, and the ops in float."""
        chosen = found.chosen
        return MixedRecipe(
            setting={
                "preset": chosen.setting,
                "samples": len(self._samples),
                "samples_sha256": digest_of_inputs(self._samples),
            },
            float_ops=chosen.kept,
            float_sha256=hashlib.sha256(self._content).hexdigest(),
            notes={**found.as_notes(), "ops": len(self.wiring.ops)},
        )


def digest_of_inputs(samples: Sequence[NDArray[Any]]) -> str:
    """sha256 of prepared inputs, in their order."""
    found = hashlib.sha256()
    for sample in samples:
        found.update(np.ascontiguousarray(sample).tobytes())
    return found.hexdigest()


def reverted(whole: Any, graph: OpenVinoGraph, kept: Iterable[str]) -> Any:
    """A copy of a quantized model with some ops in float.

    Args:
        whole: quantized, of the float model.
        graph: of the float model.
        kept: names of ops of the float graph.
    """
    changed, names = OpenVinoGraph(whole.clone()), set(kept)
    floats = {op.name: op.node for op in graph.ops}
    for op in changed.ops:
        if op.name not in names or op.name not in floats:
            continue
        for each, meant in zip(op.node.inputs(), floats[op.name].inputs(), strict=True):
            _feed(each, meant.get_source_output(), changed)
        for reader in changed.readers(op.outputs[0]):
            if op.kind in WEIGHTED and reader.kind == "Add":
                _restore_bias(reader.node, floats.get(reader.name), changed)
    changed.model.validate_nodes_and_infer_types()
    return changed.model


def _feed(entry: Any, meant: Any, changed: OpenVinoGraph) -> None:
    """Let an input read what the float graph's reads: a constant, or a tensor unrounded."""
    source = entry.get_source_output()
    constant = meant.get_node()
    if constant.get_type_name() == "Constant":
        if changed.is_constant(tensor_of(source)):
            entry.replace_source_output(_copied(constant))
    elif source.get_node().get_type_name() == "FakeQuantize":
        entry.replace_source_output(source.get_node().input_value(0))


def _restore_bias(node: Any, meant: Any, changed: OpenVinoGraph) -> None:
    """What bias correction made of a bias goes back to what it was; one that it added to zero."""
    from openvino import opset13

    for i, each in enumerate(node.inputs()):
        if not changed.is_constant(tensor_of(each.get_source_output())):
            continue
        if meant is None:
            zeros = np.zeros(list(node.get_input_shape(i)), np.float32)
            each.replace_source_output(opset13.constant(zeros).output(0))
        else:
            before = meant.input_value(i).get_node()
            if before.get_type_name() == "Constant":
                each.replace_source_output(_copied(before))


def _copied(constant: Any) -> Any:
    from openvino import opset13

    return opset13.constant(np.array(constant.get_data())).output(0)


def packed(model: Any) -> bytes:
    """Both files of a model as one content."""
    with tempfile.TemporaryDirectory() as folder:
        path = save(model.clone(), Path(folder))
        graph, constants = path.read_bytes(), path.with_suffix(".bin").read_bytes()
    return len(graph).to_bytes(_LENGTH, "little") + graph + constants


def unpacked(content: bytes) -> Any:
    """A model from its content."""
    length = int.from_bytes(content[:_LENGTH], "little")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.xml"
        path.write_bytes(content[_LENGTH : _LENGTH + length])
        path.with_suffix(".bin").write_bytes(content[_LENGTH + length :])
        # Copied: what is read keeps the file, which goes.
        return read(path).clone()
