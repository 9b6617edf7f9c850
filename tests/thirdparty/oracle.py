"""What the study must find, in plain numpy: nothing of quantbench or of the package is imported."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

WEIGHTS = Path(__file__).parent / "quantbench_linear" / "quantbench_linear" / "weights.csv"
SAMPLES, SEED, CLASSES, FEATURES = 2000, 2024, 10, 16
Z = 1.6448536269514722  # of a one-sided bound at 95 %
Array = NDArray[Any]


def samples() -> tuple[Array, Array]:
    """Vectors with the constant 1 behind them [samples, features + 1], and their labels."""
    centres = 0.5 + 0.7 * np.random.default_rng(SEED).standard_normal((CLASSES, FEATURES))
    vectors, labels = np.ones((SAMPLES, FEATURES + 1)), np.empty(SAMPLES, dtype=int)
    for i in range(SAMPLES):
        drawn = np.random.default_rng([SEED, 0, i])
        labels[i] = drawn.integers(CLASSES)
        vectors[i, :-1] = (centres[labels[i]] + drawn.standard_normal(FEATURES)).round(6)
    return vectors, labels


def weights(bits: int) -> Array:
    """Of the float model (64 bits) or rounded to symmetric integers, a scale a class."""
    table = np.loadtxt(WEIGHTS, delimiter=",", skiprows=1)
    exact: Array = np.hstack([table[:, 2:], table[:, 1:2]])
    if bits == 64:
        return exact
    step = np.abs(exact).max(axis=1, keepdims=True) / (2 ** (bits - 1) - 1)
    rounded: Array = np.round(exact / step) * step
    return rounded


@dataclass(frozen=True)
class Expected:
    """Of one width of the weights."""

    bits: int

    @cached_property
    def _scores(self) -> tuple[Array, Array, Array]:
        vectors, labels = samples()
        return vectors @ weights(self.bits).T, vectors @ weights(64).T, labels

    @property
    def top1(self) -> float:
        mine, _, labels = self._scores
        return float((mine.argmax(axis=1) == labels).mean())

    @property
    def agreement_top1(self) -> float:
        mine, its, _ = self._scores
        return float((mine.argmax(axis=1) == its.argmax(axis=1)).mean())

    @property
    def score_drift(self) -> float:
        mine, its, _ = self._scores
        return float(np.abs(mine - its).max(axis=1).mean())

    @property
    def flips(self) -> tuple[int, int]:
        """Answers that were right and are wrong, and the other way round."""
        mine, its, labels = self._scores
        now, was = mine.argmax(axis=1) == labels, its.argmax(axis=1) == labels
        return int((was & ~now).sum()), int((now & ~was).sum())

    @property
    def bounds(self) -> tuple[float, float]:
        """Of the difference of top1, each at 95 %, by the normal distribution (McNemar, Wald)."""
        lost, won = self.flips
        difference = (won - lost) / SAMPLES
        spread = np.sqrt((lost + won) / SAMPLES - difference**2) / np.sqrt(SAMPLES)
        return float(difference - Z * spread), float(difference + Z * spread)

    def outcome(self, margin: float) -> str:
        low, high = self.bounds
        return "pass" if low > -margin else "fail" if high < -margin else "inconclusive"

    @property
    def weights_bytes(self) -> int:
        row = {64: 8 * (FEATURES + 1), 8: FEATURES + 1 + 8, 4: FEATURES // 2 + 1 + 8}[self.bits]
        return CLASSES * row

    @property
    def snr_db(self) -> Array:
        """Signal to noise of each class's score on the first 16 vectors of the other split."""
        centres = 0.5 + 0.7 * np.random.default_rng(SEED).standard_normal((CLASSES, FEATURES))
        vectors = np.ones((16, FEATURES + 1))
        for i in range(16):
            drawn = np.random.default_rng([SEED, 1, i])
            label = drawn.integers(CLASSES)
            vectors[i, :-1] = (centres[label] + drawn.standard_normal(FEATURES)).round(6)
        meant, said = vectors @ weights(64).T, vectors @ weights(self.bits).T
        ratio: Array = (meant**2).sum(axis=0) / ((said - meant) ** 2).sum(axis=0)
        return np.asarray(10 * np.log10(ratio))
