"""A converted float model is judged by what is decoded of its answers where raw ones differ."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from quantbench import cases
from quantbench.errors import BuildError, UsageError
from quantbench.run.steps.conversion import check_conversion

(CASE,) = cases("digits_centernet", schemes=["float32"])
SAMPLES = [(f"sample {i}", float(i)) for i in range(3)]


class Signs:
    """Rows keep the sign of an answer; agreement is their share in common."""

    agreement = "agreement"

    def evidence(self, sample: str, answer: float) -> dict[str, Any]:
        return {"id": sample, "sign": answer >= 0}

    def agree(self, rows: Any, meant: Any, weights: Any) -> dict[str, Any]:
        same = [a["sign"] == b["sign"] for a, b in zip(rows, meant, strict=True)]
        return {"agreement": weights @ np.array(same) / len(same)}


def checked(difference: float | None, error: float, task: Any = None, **model: Any) -> Any:
    closed: list[bool] = []
    runner: Any = SimpleNamespace(
        predict=lambda prepared: prepared + error, close=lambda: closed.append(True)
    )
    facts = {} if difference is None else {"float_difference": difference}
    answers = (lambda: [prepared for _, prepared in SAMPLES], lambda: runner)
    counts: Any = task or Signs()
    case = replace(CASE, model=replace(CASE.model, **model))
    found = check_conversion(case, facts, counts, SAMPLES, answers)
    return found, bool(closed)


def test_within_the_tolerance_nothing_more_is_asked() -> None:
    assert checked(9e-5, -9.0) == ({}, False)
    assert checked(None, -9.0) == ({}, False)
    assert checked(0.01, -9.0, tolerance=0.02) == ({}, False)


def test_beyond_it_equal_decoded_answers_will_do() -> None:
    """onnx2tf's YOLOX: 1.4e-4 of the scale apart, and exactly the right AP."""
    assert checked(1.4e-4, +0.3) == ({"float_agreement": 1.0}, True)


def test_other_decoded_answers_are_refused_and_nobody_is_blamed() -> None:
    with pytest.raises(BuildError, match=r"(?s)difference of 0.5, agreement 0.6667") as raised:
        checked(0.5, -0.3)
    assert "converter" not in str(raised.value)
    assert "Model(tolerance=...)" in str(raised.value)


def test_a_task_without_agreement_goes_by_the_difference() -> None:
    with pytest.raises(BuildError, match="agreement unknown"):
        checked(2e-4, 0.0, SimpleNamespace())


def test_a_tolerance_is_no_negative_number() -> None:
    with pytest.raises(UsageError, match="tolerance of digits_centernet"):
        replace(CASE.model, tolerance=-1.0)
