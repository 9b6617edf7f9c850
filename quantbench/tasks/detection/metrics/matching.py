"""Detections matched to truths by COCO's rules (Lin et al., 2014; pycocotools' COCOeval)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.tasks.detection.metrics.kernels import match_by_score

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from quantbench.protocols import Row

IOU_THRESHOLDS = np.asarray(np.linspace(0.5, 0.95, 10), dtype=np.float64)
AREAS = {  # squared pixels, both ends included
    "all": (0.0, 1e10),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}
_MAX_DETECTIONS = 100


@dataclass(frozen=True)
class Matches:
    """One category and area range: every image's detections, by falling score.

    Attributes:
        image: row number of each detection's image, [detections].
        rank: its place by score within its image, [detections].
        score: falling, [detections].
        box: its number in the image's list of detections, [detections].
        truth: number of its truth in the image's list of truths, or -1, [thresholds, detections].
        true: matched to a truth that counts, [thresholds, detections].
        counted: true or false positive (not ignored), [thresholds, detections].
        positives: truths that count, [images].
    """

    image: NDArray[np.int64]
    rank: NDArray[np.int64]
    score: NDArray[np.float64]
    box: NDArray[np.int64]
    truth: NDArray[np.int64]
    true: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    positives: NDArray[np.float64]


@dataclass(frozen=True)
class _Boxes:
    """A list of boxes over all images, one array a field; `number` counts within an image."""

    image: NDArray[np.int64]
    number: NDArray[np.int64]
    category: NDArray[np.int64]
    xywh: NDArray[np.float64]
    score: NDArray[np.float64]
    area: NDArray[np.float64]
    crowd: NDArray[np.bool_]

    def __getitem__(self, chosen: Any) -> _Boxes:
        return _Boxes(**{name: values[chosen] for name, values in vars(self).items()})

    def starts(self, images: int) -> NDArray[np.int64]:
        return np.searchsorted(self.image, np.arange(images + 1))


def match(
    rows: Sequence[Row],
    categories: Sequence[int],
    thresholds: NDArray[np.float64] = IOU_THRESHOLDS,
    areas: Mapping[str, tuple[float, float]] = AREAS,
) -> dict[tuple[int, str], Matches]:
    """Match each category in each area range; one-to-one, best score first.

    Categories that only the truths name are matched too: a detector that cannot say `toaster`
    has missed every toaster. The best 100 detections of a category in an image take part.

    Args:
        rows: `truths` and `detections`, both lists of COCO annotations (`bbox` xywh in pixels,
            `category_id`; truths with `area` and `iscrowd`, detections with `score`).
        categories: ids that the detector can say.
        thresholds: least IoU of a pair, in (0, 1].
        areas: smallest and largest area in squared pixels, by name.
    """
    truths = _gathered(rows, "truths")
    said = _gathered(rows, "detections")
    said = said[np.lexsort((-said.score, said.image, said.category))]
    rank = _rank(said)
    said, rank = said[rank < _MAX_DETECTIONS], rank[rank < _MAX_DETECTIONS]
    truths = truths[np.argsort(truths.category, kind="stable")]
    found = {}
    for category in sorted({*categories, *truths.category.tolist()}):
        chosen = slice(*np.searchsorted(said.category, [category, category + 1]))
        wanted = slice(*np.searchsorted(truths.category, [category, category + 1]))
        for name, bounds in areas.items():
            found[category, name] = _matched(
                said[chosen], rank[chosen], truths[wanted], len(rows), bounds, thresholds
            )
    return found


def _matched(
    said: _Boxes,
    rank: NDArray[np.int64],
    truths: _Boxes,
    images: int,
    bounds: tuple[float, float],
    thresholds: NDArray[np.float64],
) -> Matches:
    ignored = truths.crowd | _outside(truths.area, bounds)
    partner = match_by_score(
        said.xywh,
        said.starts(images),
        truths.xywh,
        truths.starts(images),
        truths.crowd,
        ignored,
        thresholds,
    )
    # Sorted over all images as COCOeval sorts: by score, stable.
    order = np.argsort(-said.score, kind="stable")
    partner, best = partner[:, order], said[order]
    matched = partner >= 0
    # Index -1 reads the appended entry: what has no truth is no ignored match.
    uncounted = np.append(ignored, np.False_)[partner] | (
        ~matched & _outside(best.xywh[:, 2] * best.xywh[:, 3], bounds)
    )
    return Matches(
        image=best.image,
        rank=rank[order],
        score=best.score,
        box=best.number,
        truth=np.append(truths.number, -1)[partner],
        true=matched & ~uncounted,
        counted=~uncounted,
        positives=np.bincount(truths.image[~ignored], minlength=images).astype(np.float64),
    )


def _outside(area: NDArray[np.float64], bounds: tuple[float, float]) -> NDArray[np.bool_]:
    return np.asarray((area < bounds[0]) | (area > bounds[1]))


def _rank(said: _Boxes) -> NDArray[np.int64]:
    """Place within image and category of boxes that are sorted by both."""
    places = np.arange(len(said.image))
    new = np.ones(len(places), dtype=bool)
    new[1:] = (np.diff(said.image) != 0) | (np.diff(said.category) != 0)
    return np.asarray(places - np.maximum.accumulate(np.where(new, places, 0)))


def _gathered(rows: Sequence[Row], name: str) -> _Boxes:
    listed = [row[name] for row in rows]
    sizes = [len(boxes) for boxes in listed]
    flat = chain.from_iterable(listed)
    # Each box is visited once: they lie far apart in memory, and to fetch one takes the time.
    visited = (
        ((*box["bbox"], box["category_id"], 0, box["area"], box["iscrowd"]) for box in flat)
        if name == "truths"
        else ((*box["bbox"], box["category_id"], box["score"], 0, 0) for box in flat)
    )
    n = sum(sizes)
    values = np.fromiter(chain.from_iterable(visited), np.float64, 8 * n).reshape(n, 8)
    return _Boxes(
        image=np.repeat(np.arange(len(rows)), sizes),
        number=np.concatenate([np.arange(size) for size in (0, *sizes)]),
        category=values[:, 4].astype(np.int64),
        xywh=values[:, :4],
        score=values[:, 5],
        area=values[:, 6],
        crowd=values[:, 7].astype(bool),
    )
