"""The windows that changed most, and in each the token that lost most, with both models' words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.data.packed import unpack
from quantbench.stats.changes import most_changed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from quantbench.protocols import Row

_WORDS = 5
_LEFT = 80  # tokens shown before it


def changed_windows(
    rows: Sequence[Row], reference: Sequence[Row], said: Callable[[list[int]], str], most: int
) -> list[dict[str, Any]]:
    """Windows whose log-likelihood moved furthest.

    Args:
        rows: evidence of the quantized model.
        reference: the float model's.
        said: the text of tokens.
        most: how many.

    Returns:
        At most `most`, most changed first. `change` is the mean of its scored tokens, in nats a
        token; `target` the one of them that lost most probability, `context` the text before it;
        `quantized` and `float` hold the five likeliest tokens there with their probabilities, and
        whether the target was the greedy choice.
    """
    moved = np.array(
        [
            unpack(row["logprobs"], "float32").mean() - unpack(was["logprobs"], "float32").mean()
            for row, was in zip(rows, reference, strict=True)
        ]
    )
    found = []
    for i in most_changed(np.abs(moved), most):
        now, before = (np.exp(unpack(each[i]["logprobs"], "float32")) for each in (rows, reference))
        place = int((now - before).argmin())
        tokens = rows[i]["tokens"]
        at = len(tokens) - rows[i]["scored"] + place
        found.append(
            {
                "id": rows[i]["id"],
                "change": float(moved[i]),
                "unit": "nats a token",
                "context": said(tokens[max(0, at - _LEFT) : at]),
                "target": said(tokens[at : at + 1]),
                "float": _answer(reference[i], place, said),
                "quantized": _answer(rows[i], place, said),
            }
        )
    return found


def _answer(row: Row, place: int, said: Callable[[list[int]], str]) -> dict[str, Any]:
    ids = unpack(row["top_ids"], "int32").reshape(row["scored"], -1)[place, :_WORDS]
    logprobs = unpack(row["top_logprobs"], "float32").reshape(row["scored"], -1)[place, :_WORDS]
    return {
        "right": int(unpack(row["ranks"], "int32")[place]) == 0,
        "words": [
            [said([token]), round(math.exp(logprob), 4)]
            for token, logprob in zip(ids.tolist(), logprobs.tolist(), strict=True)
        ],
    }
