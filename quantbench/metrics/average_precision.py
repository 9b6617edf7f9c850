"""COCO average precision as a pure function of evidence rows and image weights.

Detections are matched to truths once, by hotcoco (bit-equal to pycocotools). What is left for
each set of image weights is a weighted pass over the sorted detections, so a bootstrap needs no
second matching. Protocol: Lin et al., "Microsoft COCO" (2014), as coded in pycocotools' COCOeval.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.metrics.precision_kernel import interpolated_precision

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from quantbench.protocols import Row

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
_AREAS = ("all", "small", "medium", "large")


@dataclass(frozen=True)
class Matches:
    """One category and area range: every image's detections, by falling score.

    Attributes:
        image: row number of each detection's image, [detections].
        rank: its place by score within its image, [detections].
        true: matched to a truth that counts, [10 IoU thresholds, detections].
        counted: true or false positive (not ignored), [10, detections].
        positives: truths that count, [images].
    """

    image: NDArray[np.int64]
    rank: NDArray[np.int64]
    true: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    positives: NDArray[np.float64]


def match(rows: Sequence[Row], categories: Sequence[int]) -> dict[tuple[int, str], Matches]:
    """Match detections to truths by COCO's rules; category-area pairs without truth are left out.

    Args:
        rows: `truths` and `detections`, both lists of COCO annotations (`bbox` xywh in pixels,
            `category_id`; truths with `area` and `iscrowd`, detections with `score`), and the
            image's `width` and `height`.
        categories: ids to evaluate.
    """
    cells = _evaluated(rows, categories)
    found = {}
    for category in categories:
        for area in _AREAS:
            images = cells.get((category, area), [])
            if any(cell["gtInDenominator"].count(True) for _, cell in images):
                found[category, area] = _joined(images, len(rows))
    return found


def summarise(
    matches: Mapping[tuple[int, str], Matches], weights: NDArray[Any]
) -> dict[str, NDArray[np.float64]]:
    """COCO's twelve numbers for each row of `weights` [replicates, images].

    Returns AP, AP50, AP75, AP_small, AP_medium, AP_large, AR1, AR10, AR (100 detections an
    image), AR_small, AR_medium, AR_large, each float64 [replicates] in [0, 1], NaN where no
    category has a truth under the weights (pycocotools says -1 there).
    """
    weights = np.ascontiguousarray(weights, dtype=np.float64)
    replicates = len(weights)
    precision: dict[str, list[NDArray[np.float64]]] = {area: [] for area in _AREAS}
    recall: dict[str, list[NDArray[np.float64]]] = {area: [] for area in (*_AREAS, "1", "10")}
    for (_, area), matched in matches.items():
        positives = weights @ matched.positives
        positives[positives == 0] = np.nan  # no truth under these weights: no say in the mean
        precision[area].append(_precision(matched, weights, positives))
        recall[area].append(_recall(matched, weights, positives, 100))
        if area == "all":
            recall["1"].append(_recall(matched, weights, positives, 1))
            recall["10"].append(_recall(matched, weights, positives, 10))
    numbers = {
        "AP": _mean(precision["all"], replicates),
        "AP50": _mean([part[:1] for part in precision["all"]], replicates),
        "AP75": _mean([part[5:6] for part in precision["all"]], replicates),
    }
    numbers |= {f"AP_{area}": _mean(precision[area], replicates) for area in _AREAS[1:]}
    numbers |= {f"AR{limit}": _mean(recall[limit], replicates) for limit in ("1", "10")}
    numbers["AR"] = _mean(recall["all"], replicates)
    numbers |= {f"AR_{area}": _mean(recall[area], replicates) for area in _AREAS[1:]}
    return numbers


def _precision(
    matched: Matches, weights: NDArray[np.float64], positives: NDArray[np.float64]
) -> NDArray[np.float64]:
    """101-point interpolated AP, [10, replicates]; the cores share the replicates."""

    def part(rows: NDArray[np.intp]) -> NDArray[np.float64]:
        return np.asarray(
            interpolated_precision(
                matched.image, matched.true, matched.counted, weights[rows], positives[rows]
            )
        )

    cores = os.cpu_count() or 1
    with ThreadPoolExecutor(cores) as pool:
        parts = list(pool.map(part, np.array_split(np.arange(len(weights)), cores)))
    joined = np.concatenate(parts, axis=1)
    return np.asarray(joined + positives * 0)  # NaN where there is no truth


def _recall(
    matched: Matches, weights: NDArray[np.float64], positives: NDArray[np.float64], limit: int
) -> NDArray[np.float64]:
    """Share of truths found by the `limit` best detections of each image, [10, replicates]."""
    near = matched.rank < limit
    images = weights.shape[1]
    counts = np.stack(
        [np.bincount(matched.image[t & near], minlength=images) for t in matched.true]
    )
    return np.asarray(counts @ weights.T / positives)


def _mean(parts: list[NDArray[np.float64]], replicates: int) -> NDArray[np.float64]:
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


def _evaluated(
    rows: Sequence[Row], categories: Sequence[int]
) -> dict[tuple[int, str], list[tuple[int, dict[str, Any]]]]:
    """Hotcoco's matches by category and area: (row number, cell) in the order of the rows."""
    import hotcoco

    truths = [{**truth, "image_id": i} for i, row in enumerate(rows) for truth in row["truths"]]
    truth = hotcoco.COCO(
        {
            "images": [
                {"id": i, "width": row["width"], "height": row["height"]}
                for i, row in enumerate(rows)
            ],
            "categories": [{"id": category, "name": str(category)} for category in categories],
            "annotations": [{**truth, "id": n} for n, truth in enumerate(truths, start=1)],
        }
    )
    said = np.array(list(_result_rows(rows)), dtype=np.float64).reshape(-1, 7)
    evaluation = hotcoco.COCOeval(truth, truth.load_res(said), "bbox")
    evaluation.evaluate()
    areas = {
        tuple(bounds): label
        for bounds, label in zip(
            evaluation.params.area_rng, evaluation.params.area_rng_lbl, strict=True
        )
    }
    cells: dict[tuple[int, str], list[tuple[int, dict[str, Any]]]] = {}
    for cell in evaluation.eval_imgs:
        if cell is not None:
            key = cell["category_id"], areas[tuple(cell["aRng"])]
            cells.setdefault(key, []).append((cell["image_id"], cell))
    for found in cells.values():
        found.sort(key=lambda pair: pair[0])
    return cells


def _result_rows(rows: Sequence[Row]) -> Iterator[tuple[float, ...]]:
    for i, row in enumerate(rows):
        for said in row["detections"]:
            yield (i, *said["bbox"], said["score"], said["category_id"])


def _joined(images: list[tuple[int, dict[str, Any]]], n_images: int) -> Matches:
    """One sequence over all images, sorted as COCOeval sorts: by score, stable."""
    thresholds = len(IOU_THRESHOLDS)
    sizes = [len(cell["dtScores"]) for _, cell in images]
    scores = np.concatenate([np.array(cell["dtScores"], dtype=float) for _, cell in images])
    order = np.argsort(-scores, kind="mergesort")

    def columns(name: str) -> NDArray[np.bool_]:
        blocks = [np.array(cell[name], dtype=bool).reshape(thresholds, -1) for _, cell in images]
        return np.asarray(np.concatenate(blocks, axis=1)[:, order])

    matched, ignored = columns("dtMatched"), columns("dtIgnore")
    positives = np.zeros(n_images)
    for image, cell in images:
        positives[image] = cell["gtInDenominator"].count(True)
    return Matches(
        image=np.repeat([image for image, _ in images], sizes).astype(np.int64)[order],
        rank=np.concatenate([np.arange(size) for size in sizes]).astype(np.int64)[order],
        true=matched & ~ignored,
        counted=~ignored,
        positives=positives,
    )
