"""Candidate weights judged by last words, on passages of the calibration split."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quantbench.errors import UsageError
from quantbench.predict.llama import LlamaScorer
from quantbench.predict.scoring import hidden_states, score_all
from quantbench.stats.bootstrap import PairedBootstrap, resampling_weights

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from quantbench.diagnosis.layers import FloatModel
    from quantbench.protocols import Task
    from quantbench.tasks.last_word import Prompt


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
        self._weights = resampling_weights(len(samples))
        self._meant = self._numbers()
        if metric not in self._meant:
            raise UsageError(f"no metric {metric!r}", expected=", ".join(self._meant))
        self._sign = -1 if metric in task.lower_is_better else 1

    def loss(self, weights: Mapping[str, Any]) -> tuple[float, float, float]:
        """Difference to the float model, its lower bound at 95 %, and that of log-probability."""
        with self._model.put(weights):
            said = self._numbers()
        differences = self._sign * (said[self._metric] - self._meant[self._metric])
        compared = PairedBootstrap(differences, len(self._samples))
        logprob = float(said["logprob"][0] - self._meant["logprob"][0])
        return compared.value, compared.bounds(0.05)[0], logprob

    def _numbers(self) -> Mapping[str, Any]:
        import torch

        model = self._model.model
        hidden = hidden_states(model)
        apart = isinstance(hidden, LlamaScorer) and model.device.type == "cpu"
        threads = torch.get_num_threads() if apart else 1
        answers = score_all(model, hidden, self._prepared, threads=threads)
        rows = [
            self._task.evidence(sample, answer)
            for sample, answer in zip(self._samples, answers, strict=True)
        ]
        return self._task.summarise(rows, self._weights)
