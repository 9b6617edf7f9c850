"""Candidate models judged by a task, on samples of the calibration split."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.backends.litert.interpreter import opened
from quantbench.backends.litert.mending.search import Loss
from quantbench.core.settings import usable_threads
from quantbench.diagnosis.judge import paired_loss
from quantbench.errors import PredictionError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from quantbench.protocols import MendableTask, Row


class TaskJudge:
    """Agreement with the float model, and the paired loss of a metric.

    What is measured to choose by, and what the choice is judged by, are different samples.
    """

    def __init__(
        self,
        task: MendableTask,
        samples: Sequence[Any],
        prepared: Sequence[NDArray[Any]],
        choosing: int,
        float_content: bytes,
        metric: str,
    ) -> None:
        """Evaluate the float model.

        Args:
            task: makes and sums up rows.
            samples: of the calibration split, none of which ranges are taken from.
            prepared: the same, as the model's input.
            choosing: how many of the first choose; the others judge.
            float_content: of the float `.tflite`.
            metric: that the gate asks for.

        Raises:
            UsageError: the task has no such metric.
        """
        self._task, self._metric = task, metric
        pairs = list(zip(samples, prepared, strict=True))
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
        pairs: Sequence[tuple[Any, NDArray[Any]]],
        meant: Sequence[Row] = (),
    ) -> list[Row]:
        """Of samples and their inputs; none says anything where a candidate cannot answer."""
        # Ops that no delegate takes run on one thread: an interpreter for each keeps all busy.
        workers = min(usable_threads(os.environ), len(pairs)) or 1

        def rows(first: int) -> list[Row]:
            with opened(content, threads=1) as model:
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
