"""Results in order, ahead of their use, errors where they belong."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from quantbench.core.overlap import ahead

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_results_come_in_order_from_another_thread() -> None:
    def work(number: int) -> tuple[int, bool]:
        return number, threading.current_thread() is threading.main_thread()

    assert list(ahead(work, ((i,) for i in range(20)))) == [(i, False) for i in range(20)]
    assert list(ahead(work, [])) == []


def test_work_runs_ahead_by_a_few_and_not_by_all() -> None:
    taken: list[int] = []

    def numbers() -> Iterator[tuple[int]]:
        for i in range(100):
            taken.append(i)
            yield (i,)

    results = ahead(lambda number: number, numbers())
    assert next(results) == 0
    assert 1 < len(taken) < 10


def test_an_error_comes_where_its_result_would_have_come() -> None:
    def work(number: int) -> int:
        return 1 // (number - 2)

    results = ahead(work, ((i,) for i in range(5)))
    assert [next(results), next(results)] == [-1, -1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_nothing_goes_on_when_the_results_are_no_longer_wanted() -> None:
    results = ahead(lambda number: number, ((i,) for i in range(100)))
    next(results)
    before = threading.active_count()
    del results
    assert threading.active_count() < before
