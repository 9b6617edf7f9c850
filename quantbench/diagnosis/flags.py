"""Which ops or layers stand out by the noise that each makes alone."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from quantbench.diagnosis.decibels import SILENT_DB

if TYPE_CHECKING:
    from collections.abc import Mapping

_GAP_DB = 3.0  # between the noise of flagged ops and the next
_MOST = 12  # ops that are flagged at most
HARMLESS_DB = 30.0  # of noise that no detection feels


def flag(alone: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Ops that stand out by their noise, worst first: the clearest gap among the first twelve.

    Each op counts by the output that it hurts most. Where no gap of 3 dB sets some apart, none is
    flagged.
    """
    worst = sorted((min(snr.values(), default=SILENT_DB), name) for name, snr in alone.items())
    gaps = [
        (after - before, i + 1)
        for i, ((before, _), (after, _)) in enumerate(itertools.pairwise(worst))
        if i < _MOST and before < HARMLESS_DB
    ]
    if not gaps or max(gaps)[0] < _GAP_DB:
        return []
    return [name for _, name in worst[: max(gaps)[1]]]
