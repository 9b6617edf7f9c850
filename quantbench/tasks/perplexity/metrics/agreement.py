"""How far the float model is followed, as pure functions of evidence rows and window weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.data.packed import unpack
from quantbench.protocols import Influence
from quantbench.stats.divergence import divergences
from quantbench.stats.influence import mean_influence
from quantbench.tasks.perplexity.metrics.likelihood import mean_of, of_exponential

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from quantbench.protocols import Row


def per_window(rows: Sequence[Row], reference: Sequence[Row]) -> dict[str, NDArray[np.float64]]:
    """How far the float model is followed on each window, [windows]: means over scored tokens.

    Args:
        rows: as in `likelihood.summarise`, with `greedy`, `top_ids` and `top_logprobs`, packed.
        reference: the float model's, the same windows in the same order.

    Returns:
        `kl_divergence`: of the float model's next-token distribution to this one's, in nats, >= 0
        (`stats/divergence.py`); `top1_agreement`: the share of tokens where both have the same
        greedy choice; `probability_shift`: the token's probability less the float model's;
        `logprob_drift`: its log-probability less the float model's, in nats.
    """
    said = [_window(row, was) for row, was in zip(rows, reference, strict=True)]
    return {name: np.array([each[name] for each in said]) for name in _NAMES}


def agreement(
    rows: Sequence[Row], reference: Sequence[Row], weights: NDArray[Any]
) -> dict[str, NDArray[np.float64]]:
    """Weighted means of `per_window` for each row of `weights`, and two functions of means.

    `probability_shift_rms`: root of the mean square of what `probability_shift` is the mean of;
    `perplexity_ratio`: the perplexity over the float model's, exp of the mean negative
    `logprob_drift`.
    """
    means = mean_of(per_window(rows, reference), weights)
    square = mean_of({"square": _squares(rows, reference)}, weights)["square"]
    return {
        **means,
        "probability_shift_rms": np.sqrt(square),
        "perplexity_ratio": np.exp(-means["logprob_drift"]),
    }


def influence(metric: str, rows: Sequence[Row], reference: Sequence[Row]) -> Influence | None:
    """How much each window moves `perplexity_ratio` or `probability_shift_rms`, else None."""
    if metric == "perplexity_ratio":
        pairs = zip(rows, reference, strict=True)
        return of_exponential(np.array([-_drift(*pair).mean() for pair in pairs]))
    if metric != "probability_shift_rms":
        return None
    square = _squares(rows, reference)
    mean, rms = mean_influence(square), float(np.sqrt(square.mean()))
    slope = 0.5 / rms if rms else 0.0  # where nothing moved, no window moves it
    return Influence(slope * mean.change, mean.shown, 0.0, float(np.sqrt(square.max())))


_NAMES = ("kl_divergence", "top1_agreement", "probability_shift", "logprob_drift")


def _window(row: Row, was: Row) -> dict[str, float]:
    same = unpack(row["greedy"], "int32") == unpack(was["greedy"], "int32")
    apart = divergences(*_likeliest(row), *_likeliest(was))
    means = apart, same, _shift(row, was), _drift(row, was)
    return {name: float(each.mean()) for name, each in zip(_NAMES, means, strict=True)}


def _likeliest(row: Row) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Ids and log-probabilities, [tokens, likeliest] each."""
    ids, logprobs = unpack(row["top_ids"], "int32"), unpack(row["top_logprobs"], "float32")
    return ids.reshape(row["scored"], -1), logprobs.reshape(row["scored"], -1)


def _drift(row: Row, was: Row) -> NDArray[np.float64]:
    now, before = (unpack(each["logprobs"], "float32") for each in (row, was))
    found: NDArray[np.float64] = now - before
    return found


def _shift(row: Row, was: Row) -> NDArray[np.float64]:
    now, before = (np.exp(unpack(each["logprobs"], "float32")) for each in (row, was))
    found: NDArray[np.float64] = now - before
    return found


def _squares(rows: Sequence[Row], reference: Sequence[Row]) -> NDArray[np.float64]:
    """Mean square of the shifts of each window's tokens, [windows]."""
    pairs = zip(rows, reference, strict=True)
    return np.array([float(np.square(_shift(*pair)).mean()) for pair in pairs])
