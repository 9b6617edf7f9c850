"""The figures of the published studies, and what they lacked: each a function of one study.

A figure whose data a study does not have is None, never empty axes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantbench.report.drawing import Drawn, styled
from quantbench.report.figures import cost, language, noise, quality, recovery, speed, tradeoffs

if TYPE_CHECKING:
    from collections.abc import Callable

    from quantbench.report.views import Study

FIGURES: tuple[Callable[[Study], Drawn | None], ...] = (
    quality.differences,
    noise.profile,
    recovery.learning,
    tradeoffs.quality_and_size,
    tradeoffs.quality_and_latency,
    tradeoffs.quality_and_latency_bars,
    tradeoffs.quality_and_energy,
    cost.size,
    cost.latency,
    speed.speed,
    quality.by_iou,
    quality.by_area,
    quality.by_category,
    quality.by_class,
    language.by_bits,
    language.quality_and_memory,
    language.speed_and_memory,
    quality.flips,
    quality.as_published,
    quality.speed_as_published,
)


def drawn(study: Study) -> list[Drawn]:
    """All figures that the study's data allow."""
    with styled():
        made = [draw(study) for draw in FIGURES]
    return [figure for figure in made if figure is not None]
