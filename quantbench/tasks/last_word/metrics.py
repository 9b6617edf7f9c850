"""Last-word prediction as pure functions of evidence rows and passage weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.protocols import Influence
from quantbench.stats.divergence import divergence
from quantbench.stats.influence import mean_influence, ratio_influence
from quantbench.stats.ratio import ratio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from quantbench.protocols import Row


def per_passage(rows: Sequence[Row]) -> dict[str, NDArray[Any]]:
    """What each passage says, [passages]: booleans are shares' parts, floats means'.

    `accuracy`: every target token is the greedy choice (strict, as lm-evaluation-harness scores
    LAMBADA); `top1`, `top5`: the first target token is among the one or five likeliest;
    `logprob`: log-probability of the whole target, in nats.
    """
    return {
        "accuracy": np.array([all(rank == 0 for rank in row["ranks"]) for row in rows]),
        "top1": np.array([row["ranks"][0] < 1 for row in rows]),
        "top5": np.array([row["ranks"][0] < 5 for row in rows]),  # noqa: PLR2004 - the name says it
        "logprob": np.array([math.fsum(row["logprobs"]) for row in rows]),
    }


def summarise(rows: Sequence[Row], weights: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """Weighted means over passages for each row of `weights` [replicates, passages].

    Args:
        rows: `logprobs` (nats) and `ranks` (0 is the greedy choice) of the target's tokens.
        weights: at least one positive weight a row.

    Returns:
        The means of `per_passage`, the booleans' in [0, 1]; `perplexity`: exp of the mean negative
        log-likelihood of the whole target, >= 1 (the harness' definition: a mean over passages,
        not over tokens); `word_top5`: of the passages whose target is one token, so that a whole
        word is judged, the share among the five likeliest (NaN where there are none).
    """
    means = _means(per_passage(rows), weights)
    return {
        **means,
        "perplexity": np.exp(-means["logprob"]),
        "word_top5": ratio(*_words(rows), weights),
    }


def influence(metric: str, rows: Sequence[Row]) -> Influence | None:
    """How much each passage moves `perplexity` or `word_top5`; None of other metrics."""
    if metric == "word_top5":
        return ratio_influence(*_words(rows))
    if metric != "perplexity":
        return None
    mean = mean_influence(per_passage(rows)["logprob"])
    value = math.exp(-float(np.mean(per_passage(rows)["logprob"])))
    change = -value * mean.change  # the delta method
    furthest = len(rows) * float(np.abs(change).max())
    return Influence(change, mean.shown, max(1.0, value - furthest), value + furthest)


def _words(rows: Sequence[Row]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Targets of one token that are among the five likeliest, and all of one token, [passages]."""
    whole = np.array([len(row["ranks"]) == 1 for row in rows], dtype=np.float64)
    return whole * per_passage(rows)["top5"], whole


def agreement_per_passage(rows: Sequence[Row], reference: Sequence[Row]) -> dict[str, NDArray[Any]]:
    """How far the float model is followed on each passage, [passages].

    Args:
        rows: as in `summarise`, with `greedy`, `top_ids` and `top_logprobs`.
        reference: the float model's, the same passages in the same order.

    Returns:
        `lost`: the float model is right and this one wrong; `gained`: the other way round;
        `first_token_agreement`: both would say the same first token, right or wrong;
        `logprob_drift`: log-probability of the target less the float model's, in nats;
        `kl_divergence`: mean over the target's positions of `divergence`, in nats, >= 0.
    """
    said, was = per_passage(rows), per_passage(reference)
    pairs = list(zip(rows, reference, strict=True))
    return {
        "lost": was["accuracy"] & ~said["accuracy"],
        "gained": said["accuracy"] & ~was["accuracy"],
        "first_token_agreement": np.array([a["greedy"][0] == b["greedy"][0] for a, b in pairs]),
        "logprob_drift": said["logprob"] - was["logprob"],
        "kl_divergence": np.array([_mean_divergence(a, b) for a, b in pairs]),
    }


def agreement(
    rows: Sequence[Row], reference: Sequence[Row], weights: NDArray[Any]
) -> dict[str, NDArray[np.float64]]:
    """Weighted means of `agreement_per_passage` for each row of `weights`."""
    return _means(agreement_per_passage(rows, reference), weights)


def _mean_divergence(row: Row, reference: Row) -> float:
    names = ("top_ids", "top_logprobs")
    columns = (*(row[name] for name in names), *(reference[name] for name in names))
    return float(np.mean([divergence(*position) for position in zip(*columns, strict=True)]))


def _means(
    passages: dict[str, NDArray[Any]], weights: NDArray[Any]
) -> dict[str, NDArray[np.float64]]:
    total = weights.sum(axis=1)
    return {name: weights @ values / total for name, values in passages.items()}
