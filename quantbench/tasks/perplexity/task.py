"""How well a language model predicts a text (Jelinek et al., 1977), window by window."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.data.packed import pack
from quantbench.data.prompts import Prompt, check_same_tokens
from quantbench.data.tokenizers import Tokenizer
from quantbench.errors import PredictionError
from quantbench.measure.rates import FILE
from quantbench.tasks.perplexity.examples import changed_windows
from quantbench.tasks.perplexity.metrics import agreement, likelihood
from quantbench.tasks.perplexity.windows import windows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from quantbench.data.documents import Document
    from quantbench.protocols import Influence, Row
    from quantbench.study import Model
    from quantbench.tasks.perplexity.windows import Window


class Perplexity:
    """Windows of a text in, log-probabilities of their scored tokens out."""

    version = 1
    rates = Path(__file__).with_name(FILE)
    hub_task = "text-generation"
    tools = ("tokenizers", "transformers")
    lower_is_better = frozenset(
        {
            *("perplexity", "bits_per_byte"),
            *("perplexity_ratio", "kl_divergence", "probability_shift_rms"),
        }
    )
    signed = frozenset({"logprob", "logprob_drift", "probability_shift"})

    def __init__(self, model: Model, float_model: Path) -> None:
        """Remember where the tokenizer is; it is read when documents are divided."""
        del model
        self._tokenizer = Tokenizer(float_model)

    @classmethod
    def without_model(cls, rows: Sequence[Row]) -> Perplexity:
        """What counts stored rows: no tokenizer is needed for that."""
        del rows
        return cls.__new__(cls)

    @staticmethod
    def identity(model: Model) -> Mapping[str, Any]:
        """Nothing: the tokenizer is the float model's."""
        del model
        return {}

    def divided(self, samples: Sequence[Document], n: int | None) -> Sequence[Window]:
        """The first `n` windows of all documents in a row (`tasks/perplexity/windows.py`)."""
        return windows(samples, self._tokenizer, n)

    def prepare(self, sample: Window) -> Prompt:
        """The window's tokens, and the text that they come from."""
        return Prompt(sample.tokens, sample.target_start, sample.whole, sample.first)

    def evidence(self, sample: Window, prediction: Mapping[str, Sequence[Any]]) -> Row:
        """What the model said of each scored token (`backends/transformers/scoring.py` names it).

        `tokens` are those of the window, `scored` says how many at its end are predicted, `bytes`
        how long their text is. The rest is packed (`data/packed.py`); the likeliest tokens of all
        scored ones stand in a row.

        Raises:
            PredictionError: a log-probability is NaN or infinite, or there are not as many as
                scored tokens.
        """
        scored = len(sample.tokens) - sample.target_start
        if len(prediction["logprobs"]) != scored:
            raise PredictionError(
                "the runner answers other tokens than the scored ones",
                where=sample.id,
                expected=f"{scored} log-probabilities",
                got=len(prediction["logprobs"]),
            )
        for name in ("logprobs", "top_logprobs"):
            if not np.isfinite(prediction[name]).all():
                raise PredictionError(
                    "the model's logits hold NaN or infinity",
                    where=f"{sample.id}, {name}",
                    remedy="the artifact is broken: calibrate with more text or another group size",
                )
        numbers = {name: pack(prediction[name], "int32") for name in ("ranks", "greedy", "top_ids")}
        numbers |= {
            name: pack(prediction[name], "float32") for name in ("logprobs", "top_logprobs")
        }
        return {
            "id": sample.id,
            "tokens": list(sample.tokens),
            "scored": scored,
            "bytes": sample.scored_bytes,
            **numbers,
        }

    def summarise(
        self, rows: Sequence[Row], weights: NDArray[Any]
    ) -> Mapping[str, NDArray[np.float64]]:
        """logprob, top1, perplexity, bits_per_byte (`metrics/likelihood.py`)."""
        return likelihood.summarise(rows, weights)

    def agree(
        self, rows: Sequence[Row], reference: Sequence[Row], weights: NDArray[Any]
    ) -> Mapping[str, NDArray[np.float64]]:
        """kl_divergence, top1_agreement, probability_shift and others (`metrics/agreement.py`).

        Raises:
            DataError: a window has other tokens in the reference's rows.
        """
        check_same_tokens(rows, reference)
        return agreement.agreement(rows, reference, weights)

    @staticmethod
    def per_sample(
        rows: Sequence[Row], reference: Sequence[Row] | None = None
    ) -> Mapping[str, NDArray[Any]]:
        """Those that are means over windows."""
        if reference is None:
            return likelihood.per_window(rows)
        check_same_tokens(rows, reference)
        return agreement.per_window(rows, reference)

    def influence(
        self, metric: str, rows: Sequence[Row], reference: Sequence[Row] | None = None
    ) -> Influence | None:
        """How much each window moves what is no mean over windows."""
        if reference is None:
            return likelihood.influence(metric, rows)
        return agreement.influence(metric, rows, reference)

    def changes(
        self, samples: Mapping[str, Any], rows: Sequence[Row], reference: Sequence[Row], most: int
    ) -> list[dict[str, Any]]:
        """Windows, and the token of each that lost most (`tasks/perplexity/examples.py`)."""
        del samples
        return changed_windows(rows, reference, self._tokenizer.decode, most)

    def explain(self, rows: Sequence[Row]) -> Mapping[str, Any]:
        """Nothing yet."""
        del rows
        return {}
