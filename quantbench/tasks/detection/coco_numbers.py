"""COCO's numbers of detections that are there already: no model, no pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from quantbench.stats.influence import ratio_influence
from quantbench.stats.ratio import ratio
from quantbench.tasks.detection.metrics import agreement, average_precision
from quantbench.tasks.detection.metrics.coco_influence import of_matches
from quantbench.tasks.detection.metrics.lost_precision import lost_precision
from quantbench.tasks.detection.metrics.matching import AREAS, match
from quantbench.tasks.detection.metrics.second_opinion import check_average_precision

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from quantbench.protocols import Influence, Row
    from quantbench.tasks.detection.metrics.agreement import Counted
    from quantbench.tasks.detection.metrics.matching import Matches

_Made = TypeVar("_Made")
_BOXES = ("truths", "detections")
_KEPT = 3  # sets of rows whose matches are kept: a model's and its reference's


def categories_of(rows: Sequence[Row]) -> list[int]:
    """Ids that truths or detections name, sorted."""
    return sorted({box["category_id"] for row in rows for kind in _BOXES for box in row[kind]})


class _Kept(Generic[_Made]):
    """What was made of the last sets of rows, for many numbers ask for it."""

    def __init__(self) -> None:
        self._last: list[tuple[tuple[Sequence[Row], ...], _Made]] = []

    def of(self, *rows: Sequence[Row], make: Callable[[], _Made]) -> _Made:
        """The same as before for the very same rows, else made anew."""
        for known, made in self._last:
            if all(one is other for one, other in zip(known, rows, strict=True)):
                return made
        made = make()
        self._last = [*self._last[1 - _KEPT :], (rows, made)]
        return made


class CocoNumbers:
    """Rows in, numbers out: the half of detection that needs no model."""

    lower_is_better = frozenset({"lost", "gained"})
    signed = frozenset({"score_drift"})

    def __init__(
        self, categories: Sequence[int], operating_points: Sequence[tuple[float, float]] = ()
    ) -> None:
        """Say what is counted.

        Args:
            categories: ids that the detector outputs.
            operating_points: pairs of IoU and score at which precision and recall are measured.
        """
        self._categories = categories
        self._points = operating_points
        self._matches: _Kept[Mapping[tuple[int, str], Matches]] = _Kept()
        self._agreements: _Kept[Counted] = _Kept()

    def _matched(self, rows: Sequence[Row]) -> Mapping[tuple[int, str], Matches]:
        """Matches of all areas."""
        return self._matches.of(rows, make=lambda: match(rows, self._categories))

    def _agreed(self, rows: Sequence[Row], reference: Sequence[Row]) -> Counted:
        """Matches with the reference's detections."""
        return self._agreements.of(
            rows, reference, make=lambda: agreement.counted(rows, reference, self._categories)
        )

    def summarise(
        self, rows: Sequence[Row], weights: NDArray[Any]
    ) -> Mapping[str, NDArray[np.float64]]:
        """COCO's numbers (`metrics/average_precision.py`), precision and recall where asked for."""
        numbers = average_precision.summarise(self._matched(rows), weights)
        for name, (above, below) in self._operating_points(rows).items():
            numbers[name] = ratio(above, below, weights)
        return numbers

    def cross_check(self, rows: Sequence[Row]) -> None:
        """Cross-check AP with another implementation (`metrics/second_opinion.py`).

        Raises:
            AnchorError: it computes another AP.
        """
        numbers = average_precision.summarise(self._matched(rows), np.ones((1, len(rows))))
        check_average_precision(float(numbers["AP"][0]), rows, self._categories)

    def _operating_points(
        self, rows: Sequence[Row]
    ) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Precision and recall where asked for, each as what is counted over what, by image."""
        found: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
        for iou, score in self._points:
            matches = match(rows, self._categories, np.array([iou]), {"all": AREAS["all"]})
            true, shown, positives = average_precision.operating_counts(matches, len(rows), score)
            at = f"iou{iou:g}_score{score:g}"
            found |= {f"precision_{at}": (true, shown), f"recall_{at}": (true, positives)}
        return found

    def influence(
        self, metric: str, rows: Sequence[Row], reference: Sequence[Row] | None = None
    ) -> Influence | None:
        """How much each picture moves a metric of `summarise`, or with a reference of `agree`."""
        if reference is not None:
            return self._agreed(rows, reference).influence(metric)
        found = of_matches(self._matched(rows), metric)
        if found is not None:
            return found
        point = self._operating_points(rows).get(metric)
        return None if point is None else ratio_influence(*point)

    def agree(
        self, rows: Sequence[Row], reference: Sequence[Row], weights: NDArray[Any]
    ) -> Mapping[str, NDArray[np.float64]]:
        """Judged by the reference's detections, without labels (`metrics/agreement.py`)."""
        return self._agreed(rows, reference).numbers(weights)

    @staticmethod
    def per_sample(
        rows: Sequence[Row], reference: Sequence[Row] | None = None
    ) -> Mapping[str, NDArray[Any]]:
        """Nothing: neither AP nor agreement is a mean over pictures."""
        del rows, reference
        return {}

    def explain(self, rows: Sequence[Row]) -> Mapping[str, Any]:
        """`lost_AP50`: what the missing precision is made of (`metrics/lost_precision.py`)."""
        return {"lost_AP50": lost_precision(rows, self._categories)}
