"""What a training is made of: settings that decide its result, and its batches in their order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from quantbench.diagnosis.recovering.schedule import Schedule


@dataclass(frozen=True, kw_only=True)
class Plan(Schedule):
    """The settings of a training, all part of its identity; by Adam (Kingma and Ba, 2015).

    A rate of 3e-3 moves a weight by up to 3e-3 of its largest, in each step.

    Attributes:
        samples: that are shown; the batch that reaches them is the last.
        seed: of their order.
        batch: samples of a step.
        moments: how slowly the means of gradients and of their squares forget.
        rounded: the rate of weights that are rounded, as a share of the others'.
        settled: share of the steps after which rounded weights stay, and the others adapt to them.
            Else integers of few bits jump to and fro to the end (Nagel et al., "Overcoming
            Oscillations in Quantization-Aware Training", 2022).
        inside: weight of the tensors inside, beside the outputs.
    """

    samples: int
    seed: int = 0
    batch: int = 8
    rate: float = 3e-3
    patience: int = 20
    moments: tuple[float, float] = (0.9, 0.99)
    rounded: float = 0.3
    settled: float = 0.6
    inside: float = 0.3

    def batches(self, count: int) -> list[list[int]]:
        """Numbers of the samples of each step; all are seen before one is seen again.

        Args:
            count: of the samples that are trained on.
        """
        rng = np.random.default_rng(self.seed)
        order: list[int] = []
        steps = -(-self.samples // self.batch)
        while len(order) < steps * self.batch:
            order += rng.permutation(count).tolist()
        return [order[self.batch * i : self.batch * (i + 1)] for i in range(steps)]
