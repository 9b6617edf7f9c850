"""Is the float detector at a peak of its AP on these images?

    python benchmarks/peak.py DATA [DRAWS]

Every weight is multiplied by 1 + e, e normal: what any quantization does, without its bias. Where
nearly all draws lose, images were lucky for the float model, and what a scheme loses on them is in
part the return from that luck. CenterNet-MobileNetV3 on COCO's validation and train images.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from quantbench import CocoImages, cases
from quantbench.backends.litert.graph import WEIGHTED, Graph
from quantbench.backends.litert.interpreter import model_file, opened
from quantbench.core.settings import Settings
from quantbench.diagnosis.mending.judge import TaskJudge
from quantbench.run.session import Session

MOST = 256  # train images
CHANGES = (0.002, 0.006, 0.012)  # standard deviations


def changed(content: bytes, deviation: float, seed: int) -> bytes:
    """The model with its weights changed at random."""
    graph, rng = Graph(content), np.random.default_rng(seed)
    for op in graph.ops:
        if op.kind in WEIGHTED and graph.is_constant(op.inputs[1]):
            weights = graph.constant(op.inputs[1])
            noise = deviation * rng.standard_normal(weights.shape)
            graph.set_constant(op.inputs[1], weights * (1 + noise))
    return graph.content()


def main(data: str, draws: str = "6") -> None:
    """Print a table."""
    bench = Session(Settings(data=Path(data)))
    (case,) = cases("centernet_mobilenetv3", schemes=["float32"])
    assert isinstance(case.dataset, CocoImages)
    case = replace(case, dataset=replace(case.dataset, calibration_n=MOST))
    content = model_file(bench.artifact(case).path).read_bytes()
    task: Any = bench.task(case)
    for split in ("evaluation", "calibration"):
        samples = bench.samples(case, split)
        pairs = [(sample, task.prepare(sample)) for sample in samples]
        judge = TaskJudge(task, "AP", pairs, 0, partial(opened, threads=1), content)
        for deviation in CHANGES:
            losses = [judge.loss(changed(content, deviation, seed)) for seed in range(int(draws))]
            differences = np.array([loss.difference for loss in losses])
            print(  # noqa: T201 - a script
                f"{split:11}  {len(samples)} images  changes {deviation:.1%}  "
                f"agreement {np.mean([loss.agreement for loss in losses]):.3f}  "
                f"AP {differences.mean():+.4f} ± {differences.std(ddof=1):.4f}  "
                f"{(differences < 0).sum()} of {draws} lose"
            )


if __name__ == "__main__":
    main(*sys.argv[1:])
