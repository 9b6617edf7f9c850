"""How far a quantized detector says what its float model says: no labels needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.stats.influence import ratio_influence
from quantbench.stats.ratio import ratio
from quantbench.tasks.detection.metrics import average_precision, boxes
from quantbench.tasks.detection.metrics.coco_influence import of_matches
from quantbench.tasks.detection.metrics.matching import match

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from quantbench.protocols import Influence, Row
    from quantbench.tasks.detection.metrics.matching import Matches

CONFIDENT = 0.3  # a detection with this score is shown to somebody
_LOOKED_FOR = CONFIDENT / 2  # a detection whose score moves this much comes or goes
_EVERYTHING = {"all": (0.0, np.inf)}
_LIMITS = {  # least and most
    "agreement_IoU": (0.5, 1.0),
    "score_drift": (-1.0, 1.0),
    "lost": (0.0, 1.0),
    "gained": (0.0, 1.0),  # one for each object of the float model: more is possible, and rare
}
NAMES = ("agreement_AP", *_LIMITS)


@dataclass(frozen=True)
class Counted:
    """Detections matched with the float model's, once for all numbers.

    Attributes:
        matches: by category, of the area range "all".
        ratios: numbers that are a sum over images over another, [images] each.
    """

    matches: Mapping[tuple[int, str], Matches]
    ratios: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]

    def numbers(self, weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """Detections judged by the float model's confident ones, as if those were true.

        Args:
            weights: [replicates, images], >= 0.

        Returns:
            Each float64 [replicates], NaN where the float model is confident of nothing:

            - `agreement_AP`: COCO's AP, in [0, 1]; 1 for the float model itself.
            - `agreement_IoU`: mean IoU of the pairs (same category, IoU >= .5, one-to-one), in
              [.5, 1].
            - `score_drift`: mean score of the pairs less the float model's, in [-1, 1].
            - `lost`: share of the float model's objects without a confident partner, in [0, 1].
            - `gained`: confident detections without a partner, per object of the float model,
              >= 0.
        """
        shares = {name: ratio(*parts, weights) for name, parts in self.ratios.items()}
        return {"agreement_AP": average_precision.summarise(self.matches, weights)["AP"], **shares}

    def influence(self, metric: str) -> Influence | None:
        """How much each image moves one of them; None where it is none, or undefined."""
        if metric == "agreement_AP":
            return of_matches(self.matches, "AP")
        above, below = self.ratios.get(metric, (np.zeros(1), np.zeros(1)))
        return ratio_influence(above, below, *_LIMITS[metric]) if below.any() else None


def counted(rows: Sequence[Row], reference: Sequence[Row], categories: Sequence[int]) -> Counted:
    """Match the detections with the float model's confident ones (score >= .3).

    Args:
        rows: `detections` of the quantized model.
        reference: the same of the float model, the same images in the same order.
        categories: ids that both can say.
    """
    paired = _as_truths(rows, reference)
    matches = match(paired, categories, areas=_EVERYTHING)
    return Counted(matches, _ratios(paired, matches))


def _ratios(
    paired: Sequence[Row], matches: Mapping[tuple[int, str], Matches]
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Numbers that are a sum over images over another, [images] each."""
    image, said, was = _pairs(paired, matches.values())
    overlap = boxes.paired_iou(
        *(boxes.xywh_to_xyxy([box["bbox"] for box in side]) for side in (said, was))
    )
    scores, before = (np.array([box["score"] for box in side]) for side in (said, was))

    def over_images(values: NDArray[Any]) -> NDArray[np.float64]:
        return np.bincount(image, values, minlength=len(paired)).astype(np.float64)

    pairs = over_images(np.ones(len(image)))
    both = over_images(scores >= CONFIDENT)
    objects, shown = _counted(paired)
    return {
        "agreement_IoU": (over_images(overlap), pairs),
        "score_drift": (over_images(scores - before), pairs),
        "lost": (objects - both, objects),
        "gained": (shown - both, objects),
    }


def changed(
    rows: Sequence[Row], reference: Sequence[Row], categories: Sequence[int]
) -> NDArray[np.float64]:
    """Of each image, the confident objects that only one of the two models shows, [images]."""
    paired = _as_truths(rows, reference)
    image, said, _ = _pairs(paired, match(paired, categories, areas=_EVERYTHING).values())
    confident = np.array([box["score"] >= CONFIDENT for box in said], dtype=np.float64)
    both = np.bincount(image, confident, minlength=len(rows))
    objects, shown = _counted(paired)
    return objects + shown - 2 * both


def moved(rows: Sequence[Row], reference: Sequence[Row]) -> tuple[float, float]:
    """How far the float model's detections (score >= .15) have moved, small changes included.

    Each is followed to the detection of its category that overlaps it most. Errors that have
    nothing to do with one another add up in both numbers.

    Returns:
        Mean squares of the score's relative change and of 1 - IoU, both weighted by the score; of
        what is gone both are 1. 0 where the float model says nothing.
    """
    weight = score = box = 0.0
    for row, was in zip(rows, reference, strict=True):
        before = [each for each in was["detections"] if each["score"] >= _LOOKED_FOR]
        if not before:
            continue
        scores = np.array([each["score"] for each in before])
        overlap: NDArray[Any] = np.zeros(len(before))
        after = overlap
        if said := row["detections"]:
            pairs = boxes.iou(
                *(boxes.xywh_to_xyxy([each["bbox"] for each in side]) for side in (before, said))
            )
            category = np.array([each["category_id"] for each in said])
            pairs[np.array([each["category_id"] for each in before])[:, None] != category] = 0.0
            nearest = pairs.argmax(axis=1)
            overlap = np.take_along_axis(pairs, nearest[:, None], axis=1)[:, 0]
            after = (overlap > 0) * np.array([each["score"] for each in said])[nearest]
        weight += float(scores.sum())
        score += float((scores * (after / scores - 1) ** 2).sum())
        box += float((scores * (1 - overlap) ** 2).sum())
    return (score / weight, box / weight) if weight else (0.0, 0.0)


def _as_truths(rows: Sequence[Row], reference: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows whose truths are the float model's confident detections."""
    return [
        {
            "truths": _confident(was["detections"]),
            "detections": [said for said in row["detections"] if _area(said) > 0],
        }
        for row, was in zip(rows, reference, strict=True)
    ]


def _counted(paired: Sequence[Row]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Confident objects of each image: the float model's, and the quantized model's."""
    objects = np.array([len(row["truths"]) for row in paired], dtype=np.float64)
    shown = np.array([len(_confident(row["detections"])) for row in paired], dtype=np.float64)
    return objects, shown


def _confident(detections: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """As truths. A box without area is no object: nothing can overlap it, not even itself."""
    return [
        {**said, "area": area, "iscrowd": 0}
        for said in detections
        if said["score"] >= CONFIDENT and (area := _area(said)) > 0
    ]


def _area(said: Mapping[str, Any]) -> float:
    return float(said["bbox"][2] * said["bbox"][3])


def _pairs(
    paired: Sequence[Row], matches: Iterable[Matches]
) -> tuple[NDArray[np.int64], list[dict[str, Any]], list[dict[str, Any]]]:
    """Image, detection and the float model's detection of every pair at the least threshold, .5."""
    images: list[int] = []
    said, was = [], []
    for matched in matches:
        for image, box, truth in zip(matched.image, matched.box, matched.truth[0], strict=True):
            if truth >= 0:
                images.append(image)
                said.append(paired[image]["detections"][box])
                was.append(paired[image]["truths"][truth])
    return np.array(images, dtype=np.int64), said, was
