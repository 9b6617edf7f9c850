"""What a training is made of: settings that decide its result, and its batches in their order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from quantbench.diagnosis.recovering.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quantbench.data.prompts import Prompt


@dataclass(frozen=True, kw_only=True)
class Plan(Schedule):
    """The settings of a training, all part of its identity; by AdamW (Loshchilov, Hutter, 2019).

    Attributes:
        tokens: that are trained on; the step that reaches them is the last.
        seed: of the order of passages.
        batch: passages of a step.
        clip: largest norm of a gradient.
    """

    tokens: int
    seed: int = 0
    batch: int = 4
    clip: float = 1.0

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
