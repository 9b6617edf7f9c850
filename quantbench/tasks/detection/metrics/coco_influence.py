"""How much each image moves COCO's numbers: in closed form, without resampling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from quantbench.protocols import Influence
from quantbench.tasks.detection.metrics.average_precision import RECALLS, SIZES
from quantbench.tasks.detection.metrics.kernels import precision_influence
from quantbench.tasks.detection.metrics.matching import IOU_THRESHOLDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from quantbench.tasks.detection.metrics.matching import Matches


def of_matches(matches: Mapping[tuple[int, str], Matches], metric: str) -> Influence | None:
    """How much each image moves one of the numbers of `average_precision.summarise`.

    Strata are the categories that have a truth.

    Args:
        matches: as in `average_precision.summarise`.
        metric: the number's name.

    Returns:
        None where it is none of them, or is undefined here.
    """
    part = _part(metric)
    chosen = [
        matched
        for (category, area), matched in matches.items()
        if part is not None
        and area == part.area
        and part.category in {None, category}
        and matched.positives.any()
    ]
    if part is None or not chosen:
        return None
    shown = np.array([matched.positives > 0 for matched in chosen])
    if part.most:
        return Influence(np.array([_recall_influence(each, part.most) for each in chosen]), shown)
    found = [_precision_influence(matched, part) for matched in chosen]
    smooth = float(np.mean([value for _, value in found]))
    return Influence(np.array([change for change, _ in found]), shown, smooth=smooth)


@dataclass(frozen=True)
class _Part:
    """What one of COCO's numbers is made of.

    Attributes:
        area: range of object areas.
        threshold: number of the one IoU threshold, or None for all ten.
        most: of a recall, the detections of an image that take part; of a precision 0.
        category: of one category alone, its id.
    """

    area: str = "all"
    threshold: int | None = None
    most: int = 0
    category: int | None = None


def _part(metric: str) -> _Part | None:
    if metric == "AP":
        return _Part()
    if metric in RECALLS:
        area, most = RECALLS[metric]
        return _Part(area, most=most)
    kind, _, rest = metric.partition("AP_category_")
    if not kind and rest:
        return _Part(category=int(rest)) if rest.lstrip("-").isdecimal() else None
    kind, _, area = metric.partition("AP_")
    if not kind and area in SIZES:
        return _Part(area)
    for i, threshold in enumerate(IOU_THRESHOLDS):
        if metric == f"AP{round(100 * threshold)}":
            return _Part(threshold=i)
    return None


def _precision_influence(matched: Matches, part: _Part) -> tuple[NDArray[np.float64], float]:
    """Of each image, and the precision that its derivatives are of."""
    at = slice(None) if part.threshold is None else slice(part.threshold, part.threshold + 1)
    true, counted = (np.ascontiguousarray(kind[at]) for kind in (matched.true, matched.counted))
    change, smooth = precision_influence(matched.image, true, counted, matched.positives)
    return np.asarray(change), float(smooth)


def _recall_influence(matched: Matches, most: int) -> NDArray[np.float64]:
    times = (matched.true & (matched.rank < most)).sum(axis=0)
    found = np.bincount(matched.image, times, len(matched.positives)) / len(matched.true)
    total = matched.positives.sum()
    return np.asarray((found - found.sum() / total * matched.positives) / total)
