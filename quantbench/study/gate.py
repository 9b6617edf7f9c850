"""What "not worse" means for one metric."""

from __future__ import annotations

import re
from dataclasses import dataclass

from quantbench.errors import UsageError


@dataclass(frozen=True)
class Gate:
    """What "not worse" means for one metric.

    Attributes:
        metric: a name that the task's `summarise` returns.
        margin: the loss that is still acceptable, > 0: in the metric's own unit, or as a share
            of the reference's value.
        confidence: of each one-sided bound, in (.5, 1).
        lower_is_better: True for perplexity and the like; a loss is then an increase.
        relative: the margin is a share.
    """

    metric: str
    margin: float
    confidence: float = 0.95
    lower_is_better: bool = False
    relative: bool = False

    @classmethod
    def parse(
        cls, metric: str, margin: float | str, confidence: float, *, lower_is_better: bool
    ) -> Gate:
        """A gate whose margin is a number in the metric's unit, or a text such as "5%".

        Raises:
            UsageError: the text is no percentage, or a number is out of range.
        """
        if not isinstance(margin, str):
            return cls(metric, margin, confidence, lower_is_better)
        share = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", margin)
        if share is None:
            raise UsageError(
                f"the margin of {metric} cannot be read",
                expected='a number in the metric\'s unit, or a share such as "5%"',
                got=repr(margin),
            )
        return cls(metric, float(share[1]) / 100, confidence, lower_is_better, relative=True)

    def __post_init__(self) -> None:
        """Refuse a gate that nothing or everything would pass."""
        if not self.margin > 0 or self.margin == float("inf"):
            raise UsageError(
                f"the margin of {self.metric} must be a positive, finite number",
                got=self.margin,
                remedy="give the largest loss you would still ship, e.g. margin=0.02",
            )
        if not 0.5 < self.confidence < 1:  # noqa: PLR2004 - a coin is no confidence
            raise UsageError(
                f"the confidence of the gate on {self.metric} is out of range",
                expected="a number between 0.5 and 1",
                got=self.confidence,
            )
