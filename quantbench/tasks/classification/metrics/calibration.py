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
    gaps, bins = _gaps(rows)
    return np.asarray(np.abs(weights @ (gaps[:, None] * bins)).sum(axis=1) / weights.sum(axis=1))


def influence(rows: Sequence[Row]) -> Influence:
    """How much each picture moves the calibration error.

    The derivative at the pictures as they are: with g_i = right - confidence and s_b the sign of
    the sum of g in picture i's bin b, (s_b g_i - ECE) / n. Where a bin's gap is small beside its
    standard error the sign is chance, and the plain ECE leans upwards, more so for the better
    calibrated of two models: a rise of it would be understated. So bounds lie around the
    difference of the *debiased* errors (`smooth`, see `debiased`), and hold that of the plain ones
    with them. By simulation (`tests/tasks/classification/test_calibration.py`) a rise of the margin
    is let through in at most 7 of 100 studies at a stated 5, on 300 to 3,000 pictures.
    """
    gaps, bins = _gaps(rows)
    signs = np.sign(gaps @ bins)
    parts = gaps * (bins @ signs)
    change = (parts - parts.mean()) / len(rows)
    shown = np.ones((1, len(rows)), dtype=bool)
    return Influence(change[None], shown, 0.0, 1.0, smooth=debiased(rows))


def debiased(rows: Sequence[Row]) -> float:
    """The calibration error less the estimated share of chance in it, in [-1, 1].

    A bin's gap is taken as normal around its true value, with the variance that its pictures show;
    the mean of its absolute value (the folded normal's: Leone, Nelson, Nottingham, Technometrics
    3, 1961) less itself is the bias at that gap, which is taken off (so the l1 estimate of Kumar
    et al., 2019, section 4, there by simulation). Some of the bias remains, at most half of it.
    """
    from scipy.special import ndtr

    gaps, bins = _gaps(rows)
    n = bins.sum(axis=0)
    seen = n >= 2  # noqa: PLR2004 - one picture shows no variance
    bins, n = bins[:, seen], n[seen]
    mean = np.abs(gaps @ bins) / n
    variance = np.maximum((gaps**2) @ bins / n - mean**2, 0) / (n - 1)
    error = np.sqrt(np.maximum(variance, np.finfo(np.float64).tiny))
    ratio = mean / error
    folded = error * np.sqrt(2 / np.pi) * np.exp(-(ratio**2) / 2) + mean * (1 - 2 * ndtr(-ratio))
    whole = float(calibration_error(rows, np.ones((1, len(rows))))[0])
    return whole - float((n * (folded - mean)).sum()) / len(rows)


def _gaps(rows: Sequence[Row]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of each picture right - confidence, [pictures], and its bin, one of [pictures, 15]."""
    confidence = np.exp([row["top_logprobs"][0] for row in rows])
    right = np.array([row["rank"] < 1 for row in rows], dtype=np.float64)
    # Bins are (low, high], as the papers have them.
    place = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    return right - confidence, np.eye(BINS)[place]
