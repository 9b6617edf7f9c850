"""Where the time of an `.onnx` model goes, by ONNX Runtime's own profile."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.backends.onnxruntime.files import onnx_file
from quantbench.backends.onnxruntime.session import PROVIDERS, OnnxModel
from quantbench.errors import PredictionError
from quantbench.measure.rounds import Whole
from quantbench.protocols import OpTime, Profile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from quantbench.core.progress import Step
    from quantbench.core.settings import Machine

_WHOLE_S, _ROUNDS, _WARM_UP = 1.0, 20, 3
_CONVERTS = {
    *("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Cast", "Transpose"),
    *("ReorderInput", "ReorderOutput"),
}
# What the optimizer makes of an op, by what the file called it.
_FIRST_CALLED = {"ConvInteger": "Conv", "MatMulInteger": "MatMul", "FusedConv": "Conv"}
_PREFIXES = ("QLinear", "Nhwc")
_SUFFIXES = ("_nchwc", "IntegerToFloat")
_WITH_GRAPHS = {"Loop", "If", "Scan"}
_METHOD = "ONNX Runtime's own profile; the median of each node over 20 inferences"
_NODE_END = "_kernel_time"


def profile(
    folder: Path, samples: Sequence[NDArray[np.float32]], machine: Machine, step: Step
) -> list[Profile]:
    """Time the model of an artifact's folder on the first sample.

    Nodes are those that run: the optimizer has fused some and added conversions of layout. A kind
    is ONNX's own word (`Conv` for `QLinearConv` too); the kernel says what ran.

    Args:
        folder: that holds one `.onnx` file.
        samples: float inputs of the model's shape; the first is used.
        machine: how many threads compute, on which device.
        step: is told of the two parts.

    Raises:
        PredictionError: ONNX Runtime cannot run the model, or runs it on a GPU.
    """
    path, device = onnx_file(folder), machine.device
    if device != "cpu":
        raise PredictionError(
            "ONNX Runtime's profile times launches on a GPU, not the work",
            where=path,
            remedy="look into the case on the processor",
        )
    advance = step("ONNX Runtime's profile", 2)
    with closing(OnnxModel(path, machine.threads, device)) as model:
        whole = Whole(lambda: model(samples[0]), _WHOLE_S)
        advance(1)
        with (
            tempfile.TemporaryDirectory() as written,
            closing(OnnxModel(path, machine.threads, device, profiled=Path(written))) as profiled,
        ):
            for _ in range(_WARM_UP + _ROUNDS):
                profiled(samples[0])
            events = json.loads(profiled.profile())
        whole_ns = whole.again_ns()
    advance(1)
    return [
        Profile(
            what="one inference",
            whole_ns=whole_ns,
            ops=tuple(_ops(events)),
            method=_METHOD,
            threads=machine.threads,
            delegate=PROVIDERS[device].removesuffix("ExecutionProvider"),
        )
    ]


def _ops(events: Sequence[dict[str, Any]]) -> list[OpTime]:
    """One a node, in the order in which they ran; the first inferences are left out."""
    taken: dict[str, list[float]] = defaultdict(list)
    first: dict[str, dict[str, Any]] = {}
    for event in events:
        if event["cat"] == "Node" and event["name"].endswith(_NODE_END):
            name = event["name"].removesuffix(_NODE_END)
            if event["args"]["op_name"] in _WITH_GRAPHS:
                continue  # its time is that of the nodes in it, which are there too
            taken[name].append(1e3 * event["dur"])  # microseconds
            first.setdefault(name, event["args"])
    return [
        OpTime(
            place=place,
            kind=kind_of(about["op_name"]),
            name=name,
            ns=_once(taken[name]),
            kernel=about["provider"].removesuffix("ExecutionProvider"),
            converts=about["op_name"] in _CONVERTS,
        )
        for place, (name, about) in enumerate(first.items())
    ]


def _once(taken: Sequence[float]) -> float:
    """Of one inference; a node in a loop runs several times in each."""
    repeats = max(1, len(taken) // (_WARM_UP + _ROUNDS))
    timed = np.asarray(taken[-_ROUNDS * repeats :]).reshape(-1, repeats)
    return float(np.median(timed.sum(axis=1)))


def kind_of(op_name: str) -> str:
    """ONNX's word for what a node of the optimized graph does."""
    for prefix in _PREFIXES:
        op_name = op_name.removeprefix(prefix)
    for suffix in _SUFFIXES:
        op_name = op_name.removesuffix(suffix)
    return _FIRST_CALLED.get(op_name, op_name)
