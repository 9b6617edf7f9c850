"""Candidate models judged by a task, on samples of the calibration split."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from quantbench.core.settings import usable_threads
from quantbench.diagnosis.judge import paired_loss
from quantbench.errors import PredictionError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from quantbench.diagnosis.opened import OpenModel
    from quantbench.protocols import MendableTask, Row

    Pairs = Sequence[tuple[Any, NDArray[Any]]]  # samples, each with what a model is fed for it


class Loss(NamedTuple):
    """What a candidate lost.

    Attributes:
        difference: to the float model in the gate's metric.
        low: the lower bound of it.
        agreement: with the float model's answers.
    """

    difference: float
    low: float
    agreement: float


class Judge(Protocol):
    """Says how good a candidate is, by the calibration split's samples."""

    def agreement(self, content: bytes, samples: int) -> float:
        """With the float model's answers, in [0, 1], on the first so many samples."""

    def loss(self, content: bytes) -> Loss:
        """On all samples that judge."""

    def moved(self, content: bytes, samples: int) -> tuple[float, float]:
        """Two mean squares of how far answers moved, on samples that judge nothing else."""


class TaskJudge:
    """Agreement with the float model, and the paired loss of a metric.

    What is measured to choose by, and what the choice is judged by, are different samples.
    """

    def __init__(
        self,
        task: MendableTask,
        metric: str,
        pairs: Pairs,
        choosing: int,
        open_model: OpenModel,
        float_content: bytes,
    ) -> None:
        """Evaluate the float model.

        Args:
            task: makes and sums up rows.
            metric: that the gate asks for.
            pairs: samples of the calibration split, none of which ranges are taken from.
            choosing: how many of the first choose; the others judge.
            open_model: opens a model that answers on one thread: several are open at a time.
            float_content: of the float model.

        Raises:
            PredictionError: the float model cannot be run.
            UsageError: the task has no such metric.
        """
        self._task, self._metric, self._open_model = task, metric, open_model
        self._choosing, self._judging = pairs[:choosing], pairs[choosing:]
        self._chosen_by = self._rows(float_content, self._choosing)
        self._meant = self._rows(float_content, self._judging)
        self._reference = self._numbers(self._meant)
        if metric not in self._reference:
            raise UsageError(f"no metric {metric!r}", expected=", ".join(self._reference))

    def agreement(self, content: bytes, samples: int) -> float:
        """The task's metric of agreement on the first so many samples that judge."""
        rows = self._rows(content, self._judging[:samples], self._meant)
        n = len(rows)
        agreed = self._task.agree(rows, self._meant[:n], np.ones((1, n)))
        return float(agreed[self._task.agreement][0])

    def loss(self, content: bytes) -> Loss:
        """Difference to the float model, higher being better, and its lower bound at 95 %."""
        rows = self._rows(content, self._judging, self._meant)
        said = self._numbers(rows)
        values = said[self._metric], self._reference[self._metric]
        lost = paired_loss(self._task, self._metric, values, (rows, self._meant))
        return Loss(*lost, said[self._task.agreement])

    def _numbers(self, rows: Sequence[Row]) -> dict[str, float]:
        """All metrics, those of agreement with the float model too."""
        ones = np.ones((1, len(rows)))
        numbers = {**self._task.summarise(rows, ones), **self._task.agree(rows, self._meant, ones)}
        return {name: float(values[0]) for name, values in numbers.items()}

    def moved(self, content: bytes, samples: int) -> tuple[float, float]:
        """`MendableTask.moved` on the first so many samples that choose."""
        meant = self._chosen_by[:samples]
        return self._task.moved(self._rows(content, self._choosing[:samples], meant), meant)

    def _rows(
        self,
        content: bytes,
        pairs: Pairs,
        meant: Sequence[Row] = (),
    ) -> list[Row]:
        """Of samples and their inputs; none says anything where a candidate cannot answer."""
        # Ops that no delegate takes run on one thread: a model for each keeps all busy.
        workers = min(usable_threads(os.environ), len(pairs)) or 1

        def rows(first: int) -> list[Row]:
            with self._open_model(content) as model:
                mine = pairs[first::workers]
                return [self._task.evidence(sample, model(values)) for sample, values in mine]

        try:
            with ThreadPoolExecutor(workers) as pool:
                parts = list(pool.map(rows, range(workers)))
        except PredictionError:
            if not meant:
                raise
            # A candidate that answers NaN is a bad candidate, not the end of the search.
            return [self._task.unanswered(row) for row in meant[: len(pairs)]]
        return [parts[place % workers][place // workers] for place in range(len(pairs))]
