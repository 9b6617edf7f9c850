"""Mixed-precision recipes: which ops stay in float, in which ranges the others are quantized.

A recipe is small JSON that a person can read and commit. The same recipe and the same float file
give the same bytes.
"""

from __future__ import annotations

import io
import json
import re
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.backends.litert.graph import Graph
from quantbench.backends.litert.mending.equalise import equalise
from quantbench.backends.litert.mending.hard_swish import fuse_hard_swishes, open_hard_swishes
from quantbench.backends.litert.mending.repairs import (
    Repair,
    fuse_activations,
    make_paddings_finite,
    wake_channels,
)
from quantbench.diagnosis.recipe_files import SCHEMA, read_recipe
from quantbench.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from quantbench.backends.litert.mending.equalise import Exponents
    from quantbench.diagnosis.ranges import Range

_NARROWEST = 1e-4  # width of a range: below it a scale says nothing, and a bias overflows
_ALWAYS_FLOAT = ("BATCH_MATMUL", "DIV", "INPUT", "OUTPUT")


@dataclass(frozen=True)
class Recipe:
    """What a mended model is made by.

    Attributes:
        float_ops: name of each op that stays in float, and why.
        ranges: of each tensor that is quantized, by name.
        repairs: what is done to the float graph first.
        notes: how the recipe was found, for people.
        float_sha256: of the float `.tflite` that it was made for; "" for any.
        exponents: of each channel's factor (`equalise`), by tensor; None where hard-swishes stay
            one op, and channels their size.
    """

    ranges: Mapping[str, Range]
    float_ops: Mapping[str, str] = field(default_factory=dict)
    repairs: tuple[Repair, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)
    float_sha256: str = ""
    exponents: Exponents | None = None

    def as_json(self) -> str:
        """Sorted and indented."""
        data = {
            "schema": SCHEMA,
            "float_sha256": self.float_sha256,
            "float_ops": dict(self.float_ops),
            "repairs": [vars(repair) for repair in self.repairs],
            "ranges": {name: [float(a), float(b)] for name, (a, b) in self.ranges.items()},
            "notes": dict(self.notes),
        }
        if self.exponents is not None:
            # One line a tensor: there are ten thousand channels.
            lines = {name: " ".join(map(str, each)) for name, each in self.exponents.items()}
            data["exponents"] = lines
        return json.dumps(data, indent=1, sort_keys=True, allow_nan=False) + "\n"

    @classmethod
    def parse(cls, path: Path) -> Recipe:
        """Read a recipe back.

        Raises:
            BuildError: it is none, or of a newer version.
        """
        with read_recipe(path, "recipe", "as quantbench mend writes it") as data:
            if data["schema"] > SCHEMA:
                raise ValueError(f"schema {data['schema']}, newer than {SCHEMA}")
            ranges = {str(name): (float(a), float(b)) for name, (a, b) in data["ranges"].items()}
            if not all(a <= 0 <= b and np.isfinite([a, b]).all() for a, b in ranges.values()):
                raise ValueError("a range without 0, or without an end")
            return cls(
                ranges=ranges,
                float_ops={str(op): str(why) for op, why in data["float_ops"].items()},
                repairs=tuple(Repair(**repair) for repair in data["repairs"]),
                notes=dict(data["notes"]),
                float_sha256=str(data["float_sha256"]),
                exponents=_parsed_exponents(data.get("exponents")),
            )


def _parsed_exponents(data: Mapping[str, str] | None) -> Exponents | None:
    if data is None:
        return None
    return {str(name): tuple(map(int, line.split())) for name, line in data.items()}


def repair_graph(
    content: bytes,
    ranges: Mapping[str, Range],
    exponents: Exponents | None = None,
    *,
    fuse: bool = True,
) -> tuple[Graph, list[Repair]]:
    """The float graph, repaired for these ranges.

    Args:
        content: of the float `.tflite`.
        ranges: of its tensors.
        exponents: `equalise.exponents`; None where hard-swishes stay one op, and channels their
            size.
        fuse: whether hard-swishes that are written out are one op first.
    """
    graph = Graph(content)
    repairs = fuse_hard_swishes(graph) if fuse else []
    if exponents is not None:
        repairs += [*open_hard_swishes(graph), *fuse_activations(graph)]
        repairs += equalise(graph, exponents)
    repairs += make_paddings_finite(graph, ranges)
    return graph, [*repairs, *wake_channels(graph, wide_enough(ranges))]


def wide_enough(ranges: Mapping[str, Range]) -> dict[str, Range]:
    """No range narrower than 1e-4."""
    return {name: widened(within) for name, within in ranges.items()}


def widened(within: Range) -> Range:
    """Not narrower than 1e-4."""
    low, high = within
    return (low, high) if high - low >= _NARROWEST else (low, low + _NARROWEST)


def build_int8(graph: Graph, ranges: Mapping[str, Range], float_ops: Iterable[str]) -> bytes:
    """An int8 `.tflite` of a repaired float graph by ai-edge-quantizer.

    Weights are int8 per channel, activations int8 per tensor in the given ranges; inputs, outputs
    and the named ops stay in float.

    Raises:
        BuildError: the tool refuses, or an op that should have stayed in float did not.
    """
    from ai_edge_quantizer.qtyping import TFLOperationName
    from ai_edge_quantizer.quantizer import Quantizer
    from ai_edge_quantizer.recipe_manager import AlgorithmName

    tool = Quantizer(graph.content())
    every = ".*"
    tool.add_static_config(
        every, TFLOperationName.ALL_SUPPORTED, activation_num_bits=8, weight_num_bits=8
    )
    for kind in _ALWAYS_FLOAT:
        tool.update_quantization_recipe(
            every, TFLOperationName[kind], algorithm_key=AlgorithmName.NO_QUANTIZE
        )
    kept = set(float_ops)
    known = {op.name: op for op in graph.ops}
    if unknown := kept - set(known):
        raise BuildError(
            "a recipe names ops that the model does not have",
            got=", ".join(sorted(unknown))[:300],
            remedy="search again: the recipe is another model's, or an older converter's",
        )
    # The tool searches each rule's expression in the names of an op's outputs, each with a ";".
    # One rule a kind: it compiles every rule anew for every op.
    scopes: dict[str, list[str]] = {}
    for name in sorted(kept):
        op = known[name]
        outputs = "".join(f"{graph.name(tensor)};" for tensor in op.outputs)
        scopes.setdefault(op.kind, []).append(re.escape(outputs))
    for kind, named in scopes.items():
        if kind in TFLOperationName.__members__:
            tool.update_quantization_recipe(
                f"^(?:{'|'.join(named)})$",
                TFLOperationName[kind],
                algorithm_key=AlgorithmName.NO_QUANTIZE,
            )
    measured = {
        name: {"min": np.array([a], np.float32), "max": np.array([b], np.float32)}
        for name, (a, b) in wide_enough(ranges).items()
    }
    try:
        # Of a bias that overflows a scan tells.
        with np.errstate(invalid="ignore"), quietly():
            done = tool.quantize(
                measured, enable_progress_report=False, enable_progress_bar=False
            ).quantized_model
    except (ValueError, RuntimeError, KeyError) as error:
        raise BuildError(
            "ai-edge-quantizer refuses the recipe",
            got=f"{type(error).__name__}: {error}",
            remedy="leave the op that it names in float",
        ) from error
    built = Graph(bytes(done))
    _check_kept(built, kept)
    return built.content()


@contextmanager
def quietly() -> Iterator[None]:
    """Without ai-edge-quantizer's bar, which it also draws where it is told not to."""
    with redirect_stderr(io.StringIO()):
        yield


def _check_kept(built: Graph, kept: set[str]) -> None:
    """A rule that fits nothing is skipped in silence by the tool."""
    for op in built.ops:
        if op.name in kept and built.dtype(op.outputs[0]) != "float32":
            raise BuildError(
                "an op that the recipe leaves in float was quantized",
                where=op.name,
                got=f"{op.kind} of {built.dtype(op.outputs[0])}",
            )


def float_ops_of(built: Graph) -> list[str]:
    """Ops of a built model that compute in float, conversions apart."""
    return [
        op.name
        for op in built.ops
        if op.kind not in {"QUANTIZE", "DEQUANTIZE"}
        and op.outputs
        and built.dtype(op.outputs[0]) == "float32"
    ]
