"""Which float model a diagnosis lays beside a case."""

from __future__ import annotations

from dataclasses import replace

import pytest

from quantbench import Case, Model, cases
from quantbench.catalog.models import find_model
from quantbench.errors import UsageError
from quantbench.run.steps.diagnose import float_beside

DIGITS = find_model("digits_classifier")


def case_of(scheme: str, model: Model = DIGITS) -> Case:
    (case,) = cases(model, schemes=[scheme])
    return case


def test_the_reference_where_it_runs_there_too() -> None:
    assert float_beside(case_of("int8_static")) == case_of("float32")


@pytest.mark.parametrize("runtime", ["ort", "ov"])
def test_else_the_float_case_of_the_same_runtime(runtime: str) -> None:
    case = replace(case_of(f"{runtime}_int8_static"), expected="fail", reason="declared")
    assert float_beside(case) == case_of(f"{runtime}_float32")


def test_without_one_the_error_says_to_add_it() -> None:
    model = replace(DIGITS, schemes=("float32", "ort_int8_static"))
    with pytest.raises(UsageError, match=r"(?s)no float model of its own.*Model\(schemes="):
        float_beside(case_of("ort_int8_static", model))


@pytest.mark.parametrize("scheme", ["float32", "ort_float32", "ov_float32"])
def test_a_float_model_has_nothing_to_explain(scheme: str) -> None:
    with pytest.raises(UsageError, match="nothing to explain"):
        float_beside(case_of(scheme))
