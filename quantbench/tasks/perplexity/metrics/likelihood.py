"""Likelihood of a text as pure functions of evidence rows and window weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.data.packed import unpack
from quantbench.protocols import Influence
from quantbench.stats.influence import mean_influence, ratio_influence
from quantbench.stats.ratio import ratio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from quantbench.protocols import Row


def per_window(rows: Sequence[Row]) -> dict[str, NDArray[np.float64]]:
    """What each window says, [windows]; its scored tokens are as many as any other's.

    `logprob`: mean log-probability of its scored tokens, in nats; `top1`: the share of them that
    are the greedy choice.
    """
    return {
        "logprob": np.array([unpack(row["logprobs"], "float32").mean() for row in rows]),
        "top1": np.array([(unpack(row["ranks"], "int32") == 0).mean() for row in rows]),
    }


def summarise(rows: Sequence[Row], weights: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """Weighted means over windows for each row of `weights` [replicates, windows].

    Args:
        rows: `logprobs` (nats) and `ranks` (0 is the greedy choice) of the scored tokens, packed
            (`data/packed.py`), and `bytes` of their text.
        weights: at least one positive weight a row.

    Returns:
        The means of `per_window`, which are means over tokens; `perplexity`: exp of the mean
        negative log-likelihood of a token, >= 1; `bits_per_byte`: that of the text in bits, over
        its bytes, >= 0, which does not depend on how the text is divided into tokens.
    """
    windows = per_window(rows)
    means = mean_of(windows, weights)
    return {
        **means,
        "perplexity": np.exp(-means["logprob"]),
        "bits_per_byte": ratio(*_bits(rows, windows["logprob"]), weights),
    }


def influence(metric: str, rows: Sequence[Row]) -> Influence | None:
    """How much each window moves `perplexity` or `bits_per_byte`; None of other metrics."""
    logprob = per_window(rows)["logprob"]
    if metric == "bits_per_byte":
        bits, size = _bits(rows, logprob)
        some = size > 0  # a window may end amid a character
        return ratio_influence(bits, size, *_reach(bits[some] / size[some]))
    return of_exponential(-logprob) if metric == "perplexity" else None


def of_exponential(values: NDArray[np.float64]) -> Influence:
    """How much each window moves exp of the mean of these, by the delta method.

    It is taken to reach as far as its most extreme windows.
    """
    mean = mean_influence(values)
    least, most = _reach(np.exp(values))
    return Influence(math.exp(float(values.mean())) * mean.change, mean.shown, least, most)


def mean_of(
    windows: dict[str, NDArray[np.float64]], weights: NDArray[Any]
) -> dict[str, NDArray[np.float64]]:
    """Weighted means of what windows say for each row of `weights`."""
    total = weights.sum(axis=1)
    return {name: weights @ values / total for name, values in windows.items()}


def _bits(
    rows: Sequence[Row], logprob: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bits that each window's scored text takes, and its bytes, [windows]."""
    scored = np.array([row["scored"] for row in rows])
    return -logprob * scored / math.log(2), np.array([float(row["bytes"]) for row in rows])


def _reach(values: NDArray[np.float64]) -> tuple[float, float]:
    return float(values.min()), float(values.max())
