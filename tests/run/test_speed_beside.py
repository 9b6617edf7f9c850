"""Which float model the time of a case is laid beside, and what two profiles become."""

from __future__ import annotations

from dataclasses import replace

import pytest

from quantbench import Case, Scheme, cases
from quantbench.catalog.models import find_model
from quantbench.errors import UsageError
from quantbench.run.steps.speed import float_beside
from quantbench.study.registry import backends

DIGITS = find_model("digits_classifier")


def case_of(scheme: str) -> Case:
    (case,) = cases(DIGITS, schemes=[scheme])
    return case


def test_the_reference_where_it_runs_in_the_same_backend() -> None:
    assert float_beside(case_of("int8_static")) == case_of("float32")


@pytest.mark.parametrize("runtime", ["ort", "ov"])
def test_else_the_runtimes_own_float_scheme_studied_or_not(runtime: str) -> None:
    case = replace(case_of(f"{runtime}_int8_static"), expected="fail", reason="declared")
    assert float_beside(case) == case_of(f"{runtime}_float32")
    alone = replace(case, model=replace(DIGITS, schemes=("float32", case.scheme.name)))
    assert float_beside(alone).scheme == Scheme.parse(f"{runtime}_float32")


@pytest.mark.parametrize("scheme", ["float32", "ort_float32"])
def test_a_float_model_has_nothing_beside_it(scheme: str) -> None:
    with pytest.raises(UsageError, match="nothing to lay beside"):
        float_beside(case_of(scheme))


def test_every_backend_says_where_time_goes_and_what_its_float_scheme_is() -> None:
    for backend in backends().values():
        if backend.profile:
            scheme = Scheme.parse(backend.plain)
            assert scheme.backend == backend.name
            assert scheme.weights.startswith(("float", "bfloat"))
