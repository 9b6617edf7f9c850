"""The study of detectors under LiteRT: as it was published, corrected, and what it gave up on.

    pytest benchmarks/published/test_detectors.py --quant-data DIR --benchmark-json out.json

DIR holds COCO 2017 (`coco/val2017`, `coco/train2017`, `coco/annotations`); weights come from their
hubs. `--quant-random-weights on` runs the same architectures without them: sizes and times alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.published.figures import VAL2017, VAL2017_1500, anchored
from quantbench import Case, cases, non_inferior

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from quantbench import Evaluation
    from quantbench.protocols import Runner

MARGIN = 0.01  # a point of AP: what 5,000 images decide
STUDY = {
    "centernet_resnet50v2": ("float32", "float16", "int8_dynamic"),
    "ssd_mobilenetv2": ("float32", "float16", "int8_static"),
}
INT8 = ("int8_dynamic", "int8_static")  # of which each model's study had one
IMAGES = {"centernet_resnet50v2": VAL2017, "ssd_mobilenetv2": VAL2017_1500}
# What the study gave up on or passed over, under the schemes that each can be converted to.
ABANDONED = {
    "ssd_mobilenetv2_fpnlite": ("float32", "float16", "int8_dynamic", "int8_static"),
    "efficientdet_d0": ("float32", "float16", "int8_dynamic", "int8_static"),
    "detr_r101_dc5": ("float32", "float16_aeq", "int8_dynamic_aeq", "int8_static_aeq"),
}
AS_PUBLISHED = [
    case
    for name, schemes in STUDY.items()
    for case in cases(anchored(name), schemes=schemes, datasets=[IMAGES[name]])
]
CORRECTED = [
    case
    for name, schemes in {**STUDY, **ABANDONED}.items()
    for case in cases(
        anchored(name),
        schemes=list(dict.fromkeys((*schemes, *INT8 * (name in STUDY)))),
        datasets=[VAL2017],
    )
]
# One case is one record: CenterNet's are the same in both, but for what is asked of them.
ONLY_PUBLISHED = [case for case in AS_PUBLISHED if case not in CORRECTED]


@pytest.mark.parametrize("case", ONLY_PUBLISHED, ids=str)
class TestAsPublished:
    """Its images, calibration and schemes; its figures had no interval and nothing was judged."""

    def test_latency(self, quantized: Runner, sample: object, benchmark: BenchmarkFixture) -> None:
        benchmark(quantized.predict, sample)

    def test_average_precision(self, evaluation: Evaluation) -> None:
        assert 0 <= evaluation.estimate("AP").value <= 1


@pytest.mark.parametrize("case", CORRECTED, ids=str)
class TestCorrected:
    """All of val2017, an anchor that the float model must reproduce, a margin, paired verdicts."""

    def test_latency(self, quantized: Runner, sample: object, benchmark: BenchmarkFixture) -> None:
        benchmark(quantized.predict, sample)

    def test_average_precision(
        self, case: Case, evaluation: Evaluation, reference: Evaluation
    ) -> None:
        del case
        assert non_inferior(evaluation, reference, metric="AP", margin=MARGIN)
