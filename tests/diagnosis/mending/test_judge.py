"""Candidates are judged by a task, by samples that chose nothing."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from quantbench.diagnosis.mending.judge import TaskJudge
from quantbench.errors import PredictionError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from quantbench.diagnosis.opened import Model

PAIRS = [(i, np.full(2, i, np.float32)) for i in range(9)]


@contextmanager
def opened(content: bytes) -> Iterator[Model]:
    """Answers what it is fed, plus what the content says; `broken` answers nothing."""

    def model(values: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
        if content == b"broken":
            raise PredictionError("no answer")
        return {"y": (values + float(content)).astype(np.float32)}

    yield model


class Rows:
    """A task whose evidence is which samples it was asked of, and how far off the answer is."""

    lower_is_better = frozenset[str]()
    agreement = "agreement_AP"

    def __init__(self) -> None:
        self.asked: list[int] = []

    def evidence(self, sample: int, prediction: Any) -> dict[str, Any]:
        self.asked.append(sample)
        return {"id": sample, "off": float(prediction["y"][0]) - sample}

    @staticmethod
    def unanswered(row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "off": 99.0}

    @staticmethod
    def moved(rows: list[Any], reference: list[Any]) -> tuple[float, float]:
        assert [row["id"] for row in rows] == [row["id"] for row in reference]
        return float(np.mean([row["off"] ** 2 for row in rows])), 0.0

    @staticmethod
    def per_sample(rows: list[Any], reference: Any = None) -> dict[str, NDArray[Any]]:
        del reference
        return {"AP": np.array([1 - row["off"] for row in rows])}

    @staticmethod
    def summarise(rows: list[Any], weights: NDArray[Any]) -> dict[str, NDArray[Any]]:
        off = np.array([row["off"] for row in rows])
        return {"AP": 1 - weights @ off / weights.sum(axis=1)}

    @staticmethod
    def agree(rows: list[Any], reference: Any, weights: Any) -> dict[str, NDArray[Any]]:
        assert len(rows) == len(reference) == weights.shape[1]
        assert [row["id"] for row in rows] == [row["id"] for row in reference]
        assert [row["id"] for row in rows] == list(range(4, 4 + len(rows)))
        return {"agreement_AP": np.ones(len(weights))}


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_what_chooses_does_not_judge(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quantbench.diagnosis.mending.judge.usable_threads", lambda _: threads)
    task: Any = Rows()
    judge = TaskJudge(task, "AP", PAIRS, 4, opened, b"0")
    for asks, asked in (
        (lambda: judge.moved(b"0", 3), [0, 1, 2]),
        (lambda: judge.agreement(b"0", 2), [4, 5]),
        (lambda: judge.agreement(b"0", 99), [4, 5, 6, 7, 8]),
        (lambda: judge.loss(b"0"), [4, 5, 6, 7, 8]),
    ):
        task.asked.clear()
        asks()
        assert sorted(task.asked) == asked


def test_what_is_off_by_a_tenth_loses_a_tenth() -> None:
    task: Any = Rows()
    judge = TaskJudge(task, "AP", PAIRS, 4, opened, b"0")
    lost = judge.loss(b"0.1")
    assert lost.difference == pytest.approx(-0.1, abs=1e-6)
    assert lost.low <= lost.difference
    assert judge.moved(b"0.1", 4)[0] == pytest.approx(0.01, abs=1e-6)


def test_a_candidate_that_answers_nothing_is_a_bad_one_and_a_float_model_an_error() -> None:
    task: Any = Rows()
    judge = TaskJudge(task, "AP", PAIRS, 4, opened, b"0")
    assert judge.moved(b"broken", 4) == (99.0**2, 0.0)
    assert judge.loss(b"broken").difference == pytest.approx(-99)
    with pytest.raises(PredictionError, match="no answer"):
        TaskJudge(task, "AP", PAIRS, 4, opened, b"broken")


def test_a_metric_that_is_none_is_refused() -> None:
    task: Any = Rows()
    with pytest.raises(UsageError, match=r"(?s)no metric 'nothing'.*AP, agreement_AP"):
        TaskJudge(task, "nothing", PAIRS, 4, opened, b"0")
