"""The passages that changed most, with what both models would say."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.stats.changes import most_changed
from quantbench.tasks.last_word import metrics as language

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from quantbench.protocols import Row

_WORDS = 5


def changed_passages(
    samples: Mapping[str, Any],
    rows: Sequence[Row],
    reference: Sequence[Row],
    word: Callable[[int], str],
    most: int,
) -> list[dict[str, Any]]:
    """Passages whose target's log-probability moved furthest.

    Args:
        samples: passages by id.
        rows: evidence of the quantized model.
        reference: the float model's.
        word: the text of a token.
        most: how many.

    Returns:
        At most `most`, most changed first. `change` is in nats; `quantized` and `float` hold the
        five likeliest first tokens with their probabilities, and whether the whole word was said.
    """
    moved = language.agreement_per_passage(rows, reference)["logprob_drift"]
    found = []
    for i in most_changed(np.abs(moved), most):
        passage = samples[rows[i]["id"]]
        found.append(
            {
                "id": rows[i]["id"],
                "change": float(moved[i]),
                "context": passage.text[: passage.split],
                "target": passage.text[passage.split :].strip(),
                "float": _said(reference[i], word),
                "quantized": _said(rows[i], word),
            }
        )
    return found


def _said(row: Row, word: Callable[[int], str]) -> dict[str, Any]:
    likeliest = zip(row["top_ids"][0][:_WORDS], row["top_logprobs"][0][:_WORDS], strict=True)
    return {
        "right": all(rank == 0 for rank in row["ranks"]),
        "words": [[word(token), round(math.exp(logprob), 4)] for token, logprob in likeliest],
    }
