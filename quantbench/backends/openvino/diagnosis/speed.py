"""Where the time of an OpenVINO model goes, by its own performance counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.backends.openvino.files import model_file
from quantbench.backends.openvino.session import OpenVinoModel
from quantbench.measure.rounds import Whole
from quantbench.protocols import OpTime, Profile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from quantbench.core.progress import Step
    from quantbench.core.settings import Machine

_WHOLE_S, _ROUNDS, _WARM_UP = 1.0, 20, 3
_CONVERTS = {"Reorder", "FakeQuantize", "Convert", "Transpose"}
_METHOD = "OpenVINO's performance counts; the median of each op over 20 inferences"


def profile(
    folder: Path, samples: Sequence[NDArray[np.float32]], machine: Machine, step: Step
) -> list[Profile]:
    """Time the model of an artifact's folder on the first sample.

    Ops are those of the compiled model: what was fused into another takes no time of its own.

    Args:
        folder: that holds `model.xml` and `model.bin`.
        samples: float inputs of the model's shape; the first is used.
        machine: how many threads compute.
        step: is told of the two parts.

    Raises:
        PredictionError: OpenVINO cannot run the model.
    """
    path = model_file(folder)
    advance = step("OpenVINO's performance counts", 2)
    model = OpenVinoModel(path, machine.threads)
    whole = Whole(lambda: model(samples[0]), _WHOLE_S)
    advance(1)
    counted = OpenVinoModel(path, machine.threads, profiled=True)
    for _ in range(_WARM_UP):
        counted(samples[0])
    rounds: list[list[Any]] = []
    for _ in range(_ROUNDS):
        counted(samples[0])
        rounds.append(counted.times())
    advance(1)
    ops = _medians(rounds)
    return [
        Profile(
            what="one inference",
            whole_ns=whole.again_ns(),
            ops=ops,
            method=_METHOD,
            threads=machine.threads,
        )
    ]


def _medians(rounds: Sequence[Sequence[Any]]) -> tuple[OpTime, ...]:
    """Of each op that ran, in their order; OpenVINO leaves out of a round what took it 0 us."""
    taken: dict[str, list[Any]] = {}
    for each in (op for counted in rounds for op in counted):
        taken.setdefault(each.node_name, []).append(each)
    found = []
    for place, (name, ran) in enumerate(taken.items()):
        spent_us = [each.real_time.total_seconds() * 1e6 for each in ran]
        spent_us += [0.0] * (len(rounds) - len(ran))
        found.append(
            OpTime(
                place=place,
                kind=ran[0].node_type,
                name=name,
                ns=1e3 * float(np.median(spent_us)),
                kernel=ran[0].exec_type,
                converts=ran[0].node_type in _CONVERTS,
            )
        )
    return tuple(found)
