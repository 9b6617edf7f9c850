"""Of each case the best that is known: a measurement, else an estimate, else the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quantbench import cases
from quantbench.core.progress import Silent
from quantbench.core.settings import Settings
from quantbench.errors import MeterError
from quantbench.run.context import Context
from quantbench.run.energies import Energies
from quantbench.store.artifacts import Store

if TYPE_CHECKING:
    from pathlib import Path

    from quantbench.protocols import Meter

CASE = cases("digits_centernet")[0]


def none(device: str) -> Meter:
    raise MeterError(f"no counter of {device}")


def energies(folder: Path, watts: float | None) -> Energies:
    return Energies(Context(Store(folder), Settings(watts=watts), Silent(), none))


def test_rounds_are_estimated_where_nothing_counts(tmp_path: Path) -> None:
    found = energies(tmp_path, 10.0)
    found.measure(CASE, lambda: None, tokens=4)
    assert found.prediction(CASE).reason == "no counter of cpu"
    found.estimate(CASE, [0.2, 0.2])
    drawn = found.of(CASE)
    assert drawn is not None
    assert drawn.prediction.joules == pytest.approx(2.0)
    assert drawn.tokens == 4


def test_generated_tokens_are_estimated_apart(tmp_path: Path) -> None:
    found = energies(tmp_path, 10.0)
    found.measure(CASE, lambda: None, tokens=4)
    found.measure_decoding(CASE, lambda: None, tokens=16)
    found.estimate_decoding(CASE, [1.6, 1.6], tokens=16)
    found.estimate(CASE, [0.2, 0.2])
    drawn = found.of(CASE)
    assert drawn is not None
    assert drawn.decoding is not None
    assert drawn.decoding.joules == pytest.approx(1.0)
    assert drawn.prediction.joules == pytest.approx(2.0)
    found.measure(CASE, lambda: None, tokens=4)  # opened again for another test
    again = found.of(CASE)
    assert again == drawn


def test_without_a_rate_it_stays_unavailable(tmp_path: Path) -> None:
    found = energies(tmp_path, None)
    found.measure(CASE, lambda: None, tokens=0)
    found.estimate(CASE, [0.2, 0.2])
    found.estimate_decoding(CASE, [0.2, 0.2], tokens=16)
    assert found.prediction(CASE).provenance == "unavailable"
    assert (drawn := found.of(CASE)) is not None
    assert drawn.decoding is None


def test_a_case_that_was_not_opened_has_a_reason(tmp_path: Path) -> None:
    assert energies(tmp_path, 10.0).prediction(CASE).reason == "its model was not timed"
