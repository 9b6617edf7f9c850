"""Predict the last word of a passage (LAMBADA: Paperno et al., 2016)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.data.prompts import Prompt, check_same_tokens
from quantbench.data.tokenizers import Tokenizer
from quantbench.errors import DataError, PredictionError
from quantbench.measure.rates import FILE
from quantbench.tasks.last_word import metrics as language
from quantbench.tasks.last_word.examples import changed_passages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from quantbench.data.samples import Passage
    from quantbench.protocols import Influence, Row
    from quantbench.study import Model


class LastWord:
    """Passages in, the target's log-probabilities and ranks out."""

    version = 4
    rates = Path(__file__).with_name(FILE)
    hub_task = "text-generation"
    tools = ("tokenizers", "transformers")
    lower_is_better = frozenset({"perplexity", "lost", "gained", "kl_divergence"})
    signed = frozenset({"logprob", "logprob_drift"})

    def __init__(self, model: Model, float_model: Path) -> None:
        """Remember where the tokenizer is; it is read when the first passage is prepared."""
        del model
        self._tokenizer = Tokenizer(float_model)

    @classmethod
    def without_model(cls, rows: Sequence[Row]) -> LastWord:
        """What counts stored rows: no tokenizer is needed for that."""
        del rows
        return cls.__new__(cls)

    @staticmethod
    def identity(model: Model) -> Mapping[str, Any]:
        """Nothing: the tokenizer is the float model's."""
        del model
        return {}

    def prepare(self, sample: Passage) -> Prompt:
        """Tokenize context and target jointly; the target keeps its leading space.

        The passage is split where `Passage.split` says. Target tokens are those that reach beyond
        the context, so a tokenizer that merges across the split is judged by what it really does.

        Raises:
            DataError: the passage has no last word to predict, or more tokens than the model has
                a context for.
        """
        text = sample.text.rstrip()
        split = sample.split
        if split < 1:
            raise DataError(
                "a passage needs a context and a last word", where=sample.id, got=repr(text)
            )
        encoded = self._tokenizer.encode(text)
        self._tokenizer.check_fits(len(encoded.ids), sample.id)
        start = next((i for i, (_, end) in enumerate(encoded.spans) if end > split), 0)
        if start == 0:
            raise DataError(
                "no token before the last word, so nothing predicts it",
                where=sample.id,
                expected="a tokenizer that keeps the whole passage, in more than one token",
                got=repr(text),
            )
        return Prompt(tuple(encoded.ids), start, text)

    def evidence(self, sample: Passage, prediction: Mapping[str, Sequence[Any]]) -> Row:
        """What the model said of each target token (`backends/transformers/scoring.py` names it).

        `tokens`: all that it was fed, and the last one of the target.

        Raises:
            PredictionError: a log-probability is NaN or infinite.
        """
        if not np.isfinite(prediction["logprobs"]).all():
            raise PredictionError(
                "the model's logits hold NaN or infinity",
                where=sample.id,
                got=list(prediction["logprobs"]),
                remedy="the artifact is broken: calibrate with more passages or another group size",
            )
        return {"id": sample.id, "tokens": list(self.prepare(sample).tokens), **prediction}

    def summarise(
        self, rows: Sequence[Row], weights: NDArray[Any]
    ) -> Mapping[str, NDArray[np.float64]]:
        """accuracy, top1, top5, logprob, perplexity, word_top5 (`tasks/last_word/metrics.py`)."""
        return language.summarise(rows, weights)

    def agree(
        self, rows: Sequence[Row], reference: Sequence[Row], weights: NDArray[Any]
    ) -> Mapping[str, NDArray[np.float64]]:
        """lost, gained, first_token_agreement, logprob_drift, kl_divergence.

        Raises:
            DataError: a passage was tokenized otherwise for the reference.
        """
        check_same_tokens(rows, reference)
        return language.agreement(rows, reference, weights)

    @staticmethod
    def per_sample(
        rows: Sequence[Row], reference: Sequence[Row] | None = None
    ) -> Mapping[str, NDArray[Any]]:
        """All of them but perplexity and word_top5, which are no means over passages."""
        if reference is None:
            return language.per_passage(rows)
        check_same_tokens(rows, reference)
        return language.agreement_per_passage(rows, reference)

    def influence(
        self, metric: str, rows: Sequence[Row], reference: Sequence[Row] | None = None
    ) -> Influence | None:
        """How much each passage moves what is no mean over passages."""
        return language.influence(metric, rows) if reference is None else None

    def changes(
        self, samples: Mapping[str, Any], rows: Sequence[Row], reference: Sequence[Row], most: int
    ) -> list[dict[str, Any]]:
        """Passages and likeliest words (`tasks/last_word/examples.py`)."""
        return changed_passages(
            samples, rows, reference, lambda token: self._tokenizer.decode([token]), most
        )

    def explain(self, rows: Sequence[Row]) -> Mapping[str, Any]:
        """Nothing yet."""
        del rows
        return {}
