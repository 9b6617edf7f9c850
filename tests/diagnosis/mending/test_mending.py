"""A case is mended by a backend's part and a task; what it may look at is told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from quantbench.diagnosis.mending.mending import Mender, mended_by
from quantbench.errors import UsageError
from quantbench.study import Gate
from tests.diagnosis.products import FLOAT, Products, pictures, silent

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SAMPLES = list(enumerate(pictures(140)))
GATE = Gate("closeness", 0.05)


class Answers:
    """A task of answers: how near each is to the float model's."""

    lower_is_better = frozenset[str]()
    agreement = "likeness"

    def __init__(self) -> None:
        self.asked: set[int] = set()
        weights = Products()
        self._meant = {i: weights.traced(picture)["y"] for i, picture in SAMPLES}

    @staticmethod
    def prepare(sample: tuple[int, Any]) -> Any:
        return sample[1]

    def evidence(self, sample: tuple[int, Any], prediction: Any) -> dict[str, Any]:
        self.asked.add(sample[0])
        off = prediction["y"] - self._meant[sample[0]]
        return {"id": sample[0], "off": float(np.sqrt(np.mean(off**2)))}

    @staticmethod
    def unanswered(row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "off": 1.0}

    @staticmethod
    def moved(rows: list[Any], reference: list[Any]) -> tuple[float, float]:
        del reference
        return float(np.mean([row["off"] ** 2 for row in rows])), 0.0

    @staticmethod
    def per_sample(rows: list[Any], reference: Any = None) -> dict[str, NDArray[Any]]:
        del reference
        return {"closeness": np.array([1 - row["off"] for row in rows])}

    def summarise(self, rows: list[Any], weights: NDArray[Any]) -> dict[str, NDArray[Any]]:
        return {"closeness": weights @ self.per_sample(rows)["closeness"] / weights.sum(axis=1)}

    def agree(
        self, rows: list[Any], reference: Any, weights: NDArray[Any]
    ) -> dict[str, NDArray[Any]]:
        del reference
        off = np.array([row["off"] for row in rows])
        return {"likeness": 1 - weights @ off**2 / weights.sum(axis=1)}


def mender(observed: list[Any]) -> Mender[Any, str, Any]:
    def made(content: bytes, samples: Any, step: Any) -> Products:
        assert content == FLOAT
        observed.extend(samples)
        return Products(samples, step)

    return Mender(lambda _folder, _samples: FLOAT, Products().open_model, made)


def test_what_is_observed_judges_nothing_and_the_planted_ops_are_found(tmp_path: Path) -> None:
    task: Any = Answers()
    observed: list[Any] = []
    found = mended_by(mender(observed), tmp_path, task, SAMPLES, GATE, silent)
    assert set(found.chosen.kept) == {"first", "second", "third"}
    assert found.as_notes()["passed"]
    assert len(observed) == 64
    assert all(np.array_equal(a, b) for a, (_, b) in zip(observed, SAMPLES, strict=False))
    assert task.asked == set(range(64, 140))


def test_a_task_that_says_not_how_far_answers_moved_is_refused(tmp_path: Path) -> None:
    class Silent(Answers):
        moved = property()

    task: Any = Silent()
    with pytest.raises(UsageError, match=r"(?s)cannot be mended.*Silent.*no moved"):
        mended_by(mender([]), tmp_path, task, SAMPLES, GATE, silent)


def test_too_few_samples_are_refused(tmp_path: Path) -> None:
    task: Any = Answers()
    with pytest.raises(UsageError, match=r"(?s)too few calibration samples.*at least 128"):
        mended_by(mender([]), tmp_path, task, SAMPLES[:127], GATE, silent)
