"""How a training goes: its rate at each step, when it looks at what is held out, when it ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quantbench.diagnosis.recovering.checkpoint import State

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Settings that decide a training's result. Nothing in it is a time.

    Attributes:
        rate: of learning, at its highest.
        warm_up: share of the steps in which it rises; then it falls along a cosine to 0.
        held: samples that are held out, at most a quarter of all.
        looks: at what is held out, over the whole training.
        patience: looks without any improvement, after which it stops.
    """

    rate: float = 1e-3
    warm_up: float = 0.05
    held: int = 32
    looks: int = 20
    patience: int = 5

    def divided(self, samples: Sequence[Item]) -> tuple[list[Item], list[Item]]:
        """Those that are held out, and those that are trained on."""
        cut = min(self.held, len(samples) // 4)
        return list(samples[:cut]), list(samples[cut:])

    def rate_at(self, step: int, steps: int) -> float:
        """Of the step with this number, from 0."""
        rising = max(1, round(self.warm_up * steps))
        if step < rising:
            return self.rate * (step + 1) / rising
        done = (step - rising) / max(1, steps - rising)
        return float(self.rate * (1 + np.cos(np.pi * done)) / 2)

    def next_look(self, state: State, steps: int) -> int:
        """Steps done at the next look; the first is before any."""
        return min(steps, max(1, steps // self.looks) * len(state.curve))

    def is_over(self, state: State, steps: int) -> bool:
        """Whether all steps are done, or what is held out has long gained nothing."""
        looks = len(state.curve)
        return looks > 0 and (state.step >= steps or looks - 1 - state.best >= self.patience)
