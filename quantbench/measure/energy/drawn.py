"""Joules of one call, with where they come from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

Provenance = Literal["measured", "estimated", "unavailable"]
CONFIDENCE = 0.95
_BATCHES = 10


@dataclass(frozen=True)
class Energy:
    """What one call drew: everything that its counter counts, idle power and others included.

    Attributes:
        provenance: "measured" by a counter, "estimated" by a rate that the user states, or
            "unavailable".
        by: the counter and what it counts, or the rate.
        windows: joules of a call in each of several windows, in their order.
        seconds: that a call took in these windows.
        idle_watts: what the counter showed before, while this process waited.
        step_s: seconds between two changes of the counter.
        window_s: seconds of a window.
        load_by_others: share of the machine's processor time that other processes took meanwhile.
        reason: why it is unavailable, and what to do.
    """

    provenance: Provenance = "unavailable"
    by: str = ""
    windows: tuple[float, ...] = ()
    seconds: float | None = None
    idle_watts: float | None = None
    step_s: float | None = None
    window_s: float | None = None
    load_by_others: float | None = None
    reason: str = ""

    @property
    def joules(self) -> float | None:
        """The mean over the windows; None where nothing is known."""
        return float(np.mean(self.windows)) if self.windows else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Of that mean, at 95 %; None of fewer than two windows.

        Student's t (Biometrika 6, 1908). Assumes that windows are independent and alike, and about
        normal, as sums over many calls are; a machine that drifts, as it warms up say, is not in
        it, nor is what the counter itself gets wrong.
        """
        if len(self.windows) < 2:  # noqa: PLR2004 - of one window nothing is known
            return None
        from scipy.special import stdtrit

        values = np.array(self.windows)
        t = float(stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2))
        half = t * float(values.std(ddof=1)) / len(values) ** 0.5
        return float(values.mean()) - half, float(values.mean()) + half

    def per(self, parts: int) -> Energy:
        """Of one of the equal parts of a call, such as a token."""
        return replace(
            self,
            windows=tuple(joules / parts for joules in self.windows),
            seconds=self.seconds and self.seconds / parts,
        )


def estimated(seconds: Sequence[float], watts: float) -> Energy:
    """The wall time of timed rounds times a rate, which is the user's word.

    Consecutive rounds are put together in up to ten batches of equal size, the last ones left over
    are left out; a batch takes a window's place, so that rounds that follow each other need not be
    independent. The interval is that of the time: the rate is taken as exact.

    Args:
        seconds: of each round, one call each.
        watts: of the machine while it works.
    """
    size = max(len(seconds) // _BATCHES, 1)
    batches = [seconds[i : i + size] for i in range(0, len(seconds) - size + 1, size)][:_BATCHES]
    means = [float(np.mean(batch)) for batch in batches]
    return Energy(
        "estimated",
        by=f"{watts:g} W as stated (--quant-watts) times wall time",
        windows=tuple(mean * watts for mean in means),
        seconds=float(np.mean(means)),
    )
