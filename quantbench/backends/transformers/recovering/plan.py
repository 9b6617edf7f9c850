"""What a training is made of: settings that decide its result, and its batches in their order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quantbench.data.prompts import Prompt


@dataclass(frozen=True)
class Plan:
    """The settings of a training, all part of its identity. Nothing in it is a time.

    Attributes:
        tokens: that are trained on; the step that reaches them is the last.
        seed: of the order of passages.
        batch: passages of a step.
        rate: of AdamW (Loshchilov and Hutter, 2019), at its highest.
        warm_up: share of the steps in which it rises; then it falls along a cosine to 0.
        clip: largest norm of a gradient.
        held: passages that are held out, at most a quarter of all.
        looks: at the held-out passages, over the whole training.
        patience: looks without any improvement, after which it stops.
    """

    tokens: int
    seed: int = 0
    batch: int = 4
    rate: float = 1e-3
    warm_up: float = 0.05
    clip: float = 1.0
    held: int = 32
    looks: int = 20
    patience: int = 5

    def divided(self, prompts: Sequence[Prompt]) -> tuple[list[Prompt], list[Prompt]]:
        """Passages that are held out, and those that are trained on."""
        cut = min(self.held, len(prompts) // 4)
        return list(prompts[:cut]), list(prompts[cut:])

    def batches(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Numbers of the passages of each step; all are seen before one is seen again.

        Within some batches passages are sorted by length, so that little is padding.
        """
        rng = np.random.default_rng(self.seed)
        found: list[list[int]] = []
        tokens = 0
        while True:
            order = rng.permutation(len(prompts)).tolist()
            for first in range(0, len(order), 16 * self.batch):
                some = order[first : first + 16 * self.batch]
                some.sort(key=lambda i: (len(prompts[i].tokens), i))
                cut = [some[i : i + self.batch] for i in range(0, len(some), self.batch)]
                for place in rng.permutation(len(cut)):
                    found.append(cut[place])
                    tokens += sum(len(prompts[i].tokens) for i in cut[place])
                    if tokens >= self.tokens:
                        return found

    def rate_at(self, step: int, steps: int) -> float:
        """Of the step with this number, from 0."""
        rising = max(1, round(self.warm_up * steps))
        if step < rising:
            return self.rate * (step + 1) / rising
        done = (step - rising) / max(1, steps - rising)
        return float(self.rate * (1 + np.cos(np.pi * done)) / 2)
