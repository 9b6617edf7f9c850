"""COCO average precision as a pure function of matches and image weights.

Detections are matched to truths once (`matching.py`). What is left for each set of image weights
is a weighted pass over the sorted detections, so a bootstrap needs no second matching. Protocol:
Lin et al., "Microsoft COCO" (2014), as coded in pycocotools' COCOeval.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from quantbench.core.settings import usable_threads
from quantbench.tasks.detection.metrics.kernels import interpolated_precision
from quantbench.tasks.detection.metrics.matching import AREAS, IOU_THRESHOLDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from quantbench.tasks.detection.metrics.matching import Matches

SIZES = tuple(AREAS)[1:]
RECALLS = {  # area range, and the detections of an image that take part
    "AR1": ("all", 1),
    "AR10": ("all", 10),
    "AR": ("all", 100),
    **{f"AR_{area}": (area, 100) for area in SIZES},
}


def summarise(
    matches: Mapping[tuple[int, str], Matches], weights: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """COCO's twelve numbers and what they are means of, for each row of `weights`.

    Args:
        matches: by category and area range, at COCO's ten IoU thresholds (`matching.match`).
        weights: [replicates, images], >= 0; a weight of k counts an image k times.

    Returns:
        AP, AP50, AP75, AP_small, AP_medium, AP_large, AR1, AR10, AR (100 detections an image),
        AR_small, AR_medium, AR_large; AP55 to AP95 (one IoU threshold each); AP_category_ID (one
        category each). Each float64 [replicates] in [0, 1], NaN where no category has a truth
        under the weights (pycocotools says -1 there).
    """
    replicates = len(weights)
    # [images, replicates]; a copy: for read-only arrays numba would compile once more.
    by_image = np.array(weights.T, dtype=np.float64, order="C")
    matches = {key: matched for key, matched in matches.items() if matched.positives.any()}
    truths = np.array([matched.positives for matched in matches.values()])
    totals = truths.reshape(-1, len(by_image)) @ by_image
    totals[totals == 0] = np.nan  # no truth under these weights: no say in the mean
    positives = dict(zip(matches, totals, strict=True))
    precision = _precision(matches, by_image, positives)
    recall = _recall(matches, by_image, positives)
    by_area = {area: [p for (_, a), p in precision.items() if a == area] for area in AREAS}
    by_threshold = {
        f"AP{round(100 * threshold)}": _mean([p[i : i + 1] for p in by_area["all"]], replicates)
        for i, threshold in enumerate(IOU_THRESHOLDS)
    }
    numbers = {"AP": _mean(by_area["all"], replicates)}
    numbers |= {name: by_threshold.pop(name) for name in ("AP50", "AP75")}
    numbers |= {f"AP_{area}": _mean(by_area[area], replicates) for area in SIZES}
    numbers |= {name: _mean(shares, replicates) for name, shares in recall.items()}
    numbers |= by_threshold
    numbers |= {
        f"AP_category_{category}": _mean([p], replicates)
        for (category, area), p in precision.items()
        if area == "all"
    }
    return numbers


def operating_counts(
    matches: Mapping[tuple[int, str], Matches], images: int, score: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Of each image, over all categories: right boxes that are shown, boxes shown, objects.

    What a user of a deployed detector sees. The first over the second is its precision, over the
    third its recall. Boxes that COCO ignores (crowds) count neither way.

    Args:
        matches: of the area range "all", at one IoU threshold.
        images: how many.
        score: the least that is shown.
    """
    true, shown, positives = np.zeros(images), np.zeros(images), np.zeros(images)
    for matched in matches.values():
        kept = matched.score >= score
        true += np.bincount(matched.image[matched.true[0] & kept], minlength=images)
        shown += np.bincount(matched.image[matched.counted[0] & kept], minlength=images)
        positives += matched.positives
    return true, shown, positives


def _precision(
    matches: Mapping[tuple[int, str], Matches],
    weights: NDArray[np.float64],
    positives: Mapping[tuple[int, str], NDArray[np.float64]],
) -> dict[tuple[int, str], NDArray[np.float64]]:
    """101-point interpolated AP, [10, replicates] each; the cores share the matches."""

    def of(key: tuple[int, str]) -> NDArray[np.float64]:
        matched = matches[key]
        return np.asarray(
            interpolated_precision(
                matched.image, matched.true, matched.counted, weights, positives[key]
            )
        )

    with ThreadPoolExecutor(usable_threads(os.environ)) as pool:
        return dict(zip(matches, pool.map(of, matches), strict=True))


def _recall(
    matches: Mapping[tuple[int, str], Matches],
    weights: NDArray[np.float64],
    positives: Mapping[tuple[int, str], NDArray[np.float64]],
) -> dict[str, list[NDArray[np.float64]]]:
    """Share of truths found, by the number's name: of each category, [1, replicates].

    Mean over the IoU thresholds, which share their truths. One product serves all the numbers.
    """
    keys = [(name, key) for name, (area, _) in RECALLS.items() for key in matches if key[1] == area]
    found = np.zeros((len(keys), len(weights)))
    for row, (name, key) in zip(found, keys, strict=True):
        near = matches[key].rank < RECALLS[name][1]
        times = (matches[key].true & near).sum(axis=0)
        row[:] = np.bincount(matches[key].image, times, len(weights))
    shares: dict[str, list[NDArray[np.float64]]] = {name: [] for name in RECALLS}
    for total, (name, key) in zip(found @ weights, keys, strict=True):
        shares[name].append(total[np.newaxis] / (len(IOU_THRESHOLDS) * positives[key]))
    return shares


def _mean(parts: Sequence[NDArray[np.float64]], replicates: int) -> NDArray[np.float64]:
    """Mean over categories and IoU thresholds, leaving out what is undefined."""
    if not parts:
        return np.full(replicates, np.nan)
    stacked = np.concatenate(parts)
    defined = ~np.isnan(stacked)
    count = defined.sum(axis=0)
    total = np.where(defined, stacked, 0.0).sum(axis=0)
    mean = np.full(replicates, np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean
