"""Whether a classifier is right as often as it says: the expected calibration error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.protocols import Influence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from quantbench.protocols import Row

BINS = 15


def calibration_error(rows: Sequence[Row], weights: NDArray[Any]) -> NDArray[np.float64]:
    """The expected calibration error (ECE) for each row of `weights` [replicates, pictures].

    Confidences, the probability of the likeliest class, fall into 15 bins of equal width; the sum
    over bins of |share of right answers - mean confidence|, weighted by the pictures in each
    (Naeini, Cooper, Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning",
    AAAI 2015; 15 bins as Guo et al., "On Calibration of Modern Neural Networks", ICML 2017).

    It is biased, twice. Upwards: what is left of chance in a bin counts as a gap, so a calibrated
    model has an ECE above 0, about the sum over bins of sqrt(2 / pi) standard errors of a gap,
    which falls with the root of the pictures (Broecker, "Estimating reliability and resolution",
    Climate Dynamics 39, 2012; Roelofs et al., "Mitigating Bias in Calibration Error Estimation",
    AISTATS 2022). Downwards: gaps of opposite sign within a bin cancel, so it bounds the error of
    the unbinned model from below (Kumar, Liang, Ma, "Verified Uncertainty Calibration", NeurIPS
    2019). Compare it on the same pictures only, as verdicts here do.

    Returns:
        In [0, 1].
    """
    gaps, bins = gaps_of(rows)
    return np.asarray(np.abs(weights @ (gaps[:, None] * bins)).sum(axis=1) / weights.sum(axis=1))


def influence(rows: Sequence[Row]) -> Influence:
    """How much each picture moves the calibration error.

    The derivative at the pictures as they are: with g_i = right - confidence and s_b the sign of
    the sum of g in picture i's bin b, (s_b g_i - ECE) / n. Where a bin's gap is small beside its
    standard error the sign is chance: by itself, as when each picture is left out in turn, that
    let through up to 37 of 100 rises of just the margin, at a stated 5. So the bins' gaps go along
    (`folded`), and bounds of a difference are as much wider as chance may have added to one of
    the two errors and not to the other: at most 1 of 100 then, on 300 to 3,000 pictures, so they
    are wide. `tests/tasks/classification/test_calibration.py` has the simulation.
    """
    return influence_of_gaps(*gaps_of(rows))


def influence_of_gaps(gaps: NDArray[np.float64], bins: NDArray[np.float64]) -> Influence:
    """The same of what `gaps_of` gives."""
    parts = gaps * (bins @ np.sign(gaps @ bins))
    change = (parts - parts.mean()) / len(gaps)
    shown = np.ones((1, len(gaps)), dtype=bool)
    return Influence(change[None], shown, folded=(gaps[:, None] * bins).T / len(gaps))


def gaps_of(rows: Sequence[Row]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of each picture right - confidence, [pictures], and its bin, one of [pictures, 15]."""
    confidence = np.exp([row["top_logprobs"][0] for row in rows])
    right = np.array([row["rank"] < 1 for row in rows], dtype=np.float64)
    # Bins are (low, high], as the papers have them.
    place = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    return right - confidence, np.eye(BINS)[place]
