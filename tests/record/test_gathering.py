"""Errors of a case's tests: what clears them, and what does not."""

from __future__ import annotations

from typing import Any

from quantbench.record.gathering import Gathered

FIRST, SECOND = ({"stage": "call", "type": name, "message": name} for name in ("One", "Two"))


def record(**known: Any) -> dict[str, Any]:
    return {"case": "c", "verdicts": [], "error": None, **known}


def test_a_test_that_is_run_again_and_ends_clears_its_own_error() -> None:
    found = Gathered()
    found.add(record(error=FIRST), "a")
    found.add(record(), "a")
    assert found.records["c"]["error"] is None


def test_another_test_of_the_case_clears_nothing() -> None:
    found = Gathered()
    found.add(record(error=FIRST), "a")
    found.add(record(), "b")
    found.add(record(), "")
    assert found.records["c"]["error"] == FIRST


def test_of_two_broken_tests_the_other_stays_when_one_is_mended() -> None:
    found = Gathered()
    found.add(record(error=FIRST), "a")
    found.add(record(error=SECOND), "b")
    assert found.records["c"]["error"] == FIRST
    found.add(record(), "a")
    assert found.records["c"]["error"] == SECOND
