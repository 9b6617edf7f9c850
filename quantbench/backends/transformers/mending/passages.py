"""Candidate weights judged by last words, on passages of the calibration split."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.backends.transformers.llama import LlamaScorer
from quantbench.backends.transformers.scoring import hidden_states, score_all
from quantbench.diagnosis.judge import paired_loss
from quantbench.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from quantbench.backends.transformers.diagnosis.layers import FloatModel
    from quantbench.data.prompts import Prompt
    from quantbench.protocols import Row, Task


class PassageJudge:
    """Paired loss of a metric on passages of the calibration split."""

    def __init__(
        self,
        model: FloatModel,
        task: Task,
        samples: Sequence[Any],
        prepared: Sequence[Prompt],
        metric: str,
    ) -> None:
        """Evaluate the float model.

        Raises:
            UsageError: the task has no such metric.
        """
        self._model, self._task = model, task
        self._samples, self._prepared = samples, prepared
        self._metric = metric
        self._meant = self._rows()
        numbers = self._numbers(self._meant)
        if metric not in numbers:
            raise UsageError(f"no metric {metric!r}", expected=", ".join(numbers))

    def loss(self, weights: Mapping[str, Any]) -> tuple[float, float, float]:
        """Difference to the float model, its lower bound at 95 %, and that of log-probability."""
        with self._model.put(weights):
            rows = self._rows()
        said, was = self._numbers(rows), self._numbers(self._meant)
        values = float(said[self._metric][0]), float(was[self._metric][0])
        logprob = float(said["logprob"][0] - was["logprob"][0])
        return *paired_loss(self._task, self._metric, values, (rows, self._meant)), logprob

    def _numbers(self, rows: Sequence[Row]) -> Mapping[str, Any]:
        return self._task.summarise(rows, np.ones((1, len(rows))))

    def _rows(self) -> list[Row]:
        import torch

        model = self._model.model
        hidden = hidden_states(model)
        per_core = isinstance(hidden, LlamaScorer) and model.device.type == "cpu"
        threads = torch.get_num_threads() if per_core else 1
        answers = score_all(model, hidden, self._prepared, threads=threads)
        return [
            self._task.evidence(sample, answer)
            for sample, answer in zip(self._samples, answers, strict=True)
        ]
