"""Where the time of an OpenVINO model goes, by its own performance counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    rounds = []
    for _ in range(_ROUNDS):
        counted(samples[0])
        rounds.append(counted.times())
    advance(1)
    ops = [
        OpTime(
            place=place,
            kind=same[0].node_type,
            name=same[0].node_name,
            ns=1e3 * float(np.median([each.real_time.total_seconds() * 1e6 for each in same])),
            kernel=same[0].exec_type,
            converts=same[0].node_type in _CONVERTS,
        )
        for place, same in enumerate(zip(*rounds, strict=True))
    ]
    return [
        Profile(
            what="one inference",
            whole_ns=whole.again_ns(),
            ops=tuple(ops),
            method=_METHOD,
            threads=machine.threads,
        )
    ]
