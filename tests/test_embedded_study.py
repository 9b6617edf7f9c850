"""The shipped detector on its own scenes: real weights, real conversion, real truth."""

from __future__ import annotations

from pathlib import Path

import pytest

from quantbench import cases, non_inferior
from quantbench.catalog.digits import scenes
from quantbench.core.settings import Settings
from quantbench.run.session import Session

WEIGHTS = Path(scenes.__file__).with_name("weights.safetensors")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Session:
    return Session(Settings(cache=tmp_path_factory.mktemp("cache"), samples=300, threads=2))


def test_the_weights_are_small() -> None:
    assert WEIGHTS.stat().st_size <= 1_000_000


@pytest.mark.slow
def test_the_float_detector_is_good_and_has_something_to_lose(bench: Session) -> None:
    average_precision = bench.evaluate(cases("digits_centernet")[0]).estimate("AP")
    assert 0.60 <= average_precision.value < 0.95
    assert average_precision.low < average_precision.value < average_precision.high


@pytest.mark.slow
def test_half_precision_changes_next_to_nothing(bench: Session) -> None:
    reference, half = (bench.evaluate(case) for case in cases("digits_centernet")[:2])
    assert half.artifact.size_bytes < 0.7 * reference.artifact.size_bytes
    verdict = non_inferior(half, reference, "AP", margin=0.015)  # 300 scenes bound no less
    assert verdict, verdict
    assert abs(verdict.difference.value) < 0.002


@pytest.mark.slow
def test_a_second_bench_finds_everything_in_the_store(bench: Session) -> None:
    case = cases("digits_centernet")[0]
    first = bench.evaluate(case)
    again = Session(bench.settings).evaluate(case)
    assert (again.artifact.cache, again.evidence.cache) == ("hit", "hit")
    assert again.rows == first.rows
    assert again.estimate("AP") == first.estimate("AP")
