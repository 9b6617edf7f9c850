"""COCO detectors under LiteRT, where COCO is at hand (`--quant-data`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quantbench import Case, Scheme, cases, non_inferior
from quantbench.catalog.models import find_model

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from quantbench import Evaluation
    from quantbench.protocols import Runner

# Five points: differences that some hundred images can decide. One scheme costs nearly that, which
# they cannot: it is given more.
MARGIN = 0.05
MARGINS = {"int8_dynamic_aeq": 0.08}
FOUR_BITS = "four bits a weight, one scale a channel"
RANGES = "min-max ranges over hard-swish leave a few levels to the first layers"
AEQ = "channels without weights: ai-edge-quantizer lets the bias of each overflow an int32"
PADDING = "int8 cannot hold the minus infinity that a max pooling is padded with"
MIXED = ("the converter leaves a float32 constant to an int16 PADV2", "INT16 != FLOAT32.*PADV2")
CENTERNET = {
    "int8_static": RANGES,
    "int8_static_aeq": AEQ,
    "int16x8_static_aeq": AEQ,
    "int4_weight_aeq": FOUR_BITS,
}


def litert(model: str) -> list[str]:
    """The model's schemes under LiteRT; those of other runtimes are in `test_runtimes.py`."""
    schemes = [Scheme.parse(each) for each in find_model(model).schemes]
    return [scheme.name for scheme in schemes if scheme.backend == "litert"]


CASES = [
    *cases(
        "centernet_mobilenetv3",
        schemes=litert("centernet_mobilenetv3"),
        known_failures=CENTERNET,
    ),
    *cases("centernet_mobilenetv3_as_shipped", known_failures={"int8_static": RANGES}),
    *cases(
        "nanodet_416",
        schemes=litert("nanodet_416"),
        known_failures={"int4_weight_aeq": FOUR_BITS},
        known_errors={"int16x8_static": MIXED},
    ),
    *cases(
        "nanodet_416_as_shipped",
        known_failures={"int8_static": PADDING},
        known_errors={"int16x8_static": MIXED},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
class TestCoco:
    def test_latency(self, quantized: Runner, sample: object, benchmark: BenchmarkFixture) -> None:
        benchmark(quantized.predict, sample)

    def test_average_precision(
        self, case: Case, evaluation: Evaluation, reference: Evaluation
    ) -> None:
        margin = MARGINS.get(case.scheme.name, MARGIN)
        assert non_inferior(evaluation, reference, metric="AP", margin=margin)


@pytest.mark.parametrize("case", cases("ssd_mobilenetv1_uint8"), ids=str)
class TestAlreadyQuantized:
    """A model without its float original: there is nothing to compare, only a floor to keep."""

    def test_latency(self, quantized: Runner, sample: object, benchmark: BenchmarkFixture) -> None:
        benchmark(quantized.predict, sample)

    def test_average_precision(self, evaluation: Evaluation) -> None:
        assert evaluation.estimate("AP").low > 0.12
