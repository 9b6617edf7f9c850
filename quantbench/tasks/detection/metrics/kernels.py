"""The inner loops of decoding, matching and average precision, compiled by numba."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LEVELS, _GAP = 101, 0.01  # of recall: level k is k * _GAP, as numpy.linspace computes it
_BLOCK = 64  # replicates: enough for long vectors, few enough for the cache
_SPACING = np.spacing(1)  # COCOeval adds it to the denominator


# Division as numpy's, here and below: a check for zero would keep a loop from being vectorised.
@numba.njit(cache=True, nogil=True, error_model="numpy")
def interpolated_precision(
    image: NDArray[np.int64],
    true: NDArray[np.bool_],
    counted: NDArray[np.bool_],
    weights: NDArray[np.float64],
    positives: NDArray[np.float64],
) -> NDArray[np.float64]:
    """COCO's mean of interpolated precision over 101 recall levels, [thresholds, replicates].

    Args:
        image: row of `weights` that each detection takes its weight from, by falling score.
        true: true positives, [thresholds, detections].
        counted: true or false positives, [thresholds, detections].
        weights: [images, replicates].
        positives: weighted number of truths, [replicates]; NaN gives NaN.

    Time: replicates x (detections + thresholds x those that are true at some threshold). A block
    of replicates takes each step together, in vector instructions. What is false at every
    threshold is summed once. Precision is looked at where recall moves only: the interpolated
    precision of a recall level is the best one at or beyond it, and between two true positives it
    falls.
    """
    replicates = weights.shape[1]
    result = np.empty((len(true), replicates))
    row, kind = _roles(true, counted)
    width = min(_BLOCK, replicates)
    weight = np.empty((kind.shape[1], width))
    before = np.empty((kind.shape[1], width))
    precision = np.empty((kind.shape[1], width))
    levels = np.zeros((kind.shape[1] + 1, width))
    for begin in range(0, replicates, width):
        start = min(begin, replicates - width)  # the last block overlaps the one before
        block = slice(start, start + width)
        _gather(image, row, weights, start, weight, before)
        for t in range(len(true)):
            last = _climb(kind[t], weight, before, positives[block], precision, levels)
            result[t, block] = _mean_precision(precision[last:], levels[last:], positives[block])
    return result


@numba.njit(cache=True, nogil=True, error_model="numpy")
def precision_influence(
    image: NDArray[np.int64],
    true: NDArray[np.bool_],
    counted: NDArray[np.bool_],
    positives: NDArray[np.float64],
) -> tuple[NDArray[np.float64], float]:
    """Derivative of interpolated average precision by each image's weight, at weights of one.

    Of the area under the whole interpolated curve: the 101 recall levels sample it, and jump by a
    hundredth where the curve moves by less. Of a falling curve from q0 at recall 0 they give, on
    average over where the curve ends, (100 area + q0 / 2) / 101: that is what is derived. A true
    positive adds the best precision q at or beyond it, which is found at one detection j, and
    every detection before j moves it.

    Args:
        image: of each detection, by falling score, [detections].
        true: true positives, [thresholds, detections].
        counted: true or false positives, [thresholds, detections].
        positives: truths, [images]; at least one in all.

    Returns:
        Means over the thresholds: the derivative, [images], and what the 101 levels give on
        average. Time: thresholds x (detections + images).
    """
    total = positives.sum()
    result = np.zeros(len(positives))
    smooth = 0.0
    precision = np.empty(len(image))
    seen = np.empty(len(image))
    found_at = np.zeros(len(image))  # true positives whose precision is found at this detection
    for t in range(len(true)):
        found, all_ = 0.0, 0.0
        for d in range(len(image)):
            found += true[t, d]
            all_ += counted[t, d]
            precision[d] = found / max(all_, 1.0)
            seen[d] = max(all_, 1.0)
        best, place, area = 0.0, 0, 0.0
        found_at[:] = 0
        for d in range(len(image) - 1, -1, -1):
            if true[t, d]:
                if precision[d] >= best:
                    best, place = precision[d], d
                found_at[place] += 1
                result[image[d]] += best / total
                area += best / total
        gain, cost = 0.0, 0.0
        for d in range(len(image) - 1, -1, -1):
            gain += found_at[d] / (total * seen[d])
            cost += found_at[d] * precision[d] / (total * seen[d])
            if true[t, d]:
                result[image[d]] += gain - cost
            elif counted[t, d]:
                result[image[d]] -= cost
        for i in range(len(positives)):
            result[i] -= area * positives[i] / total
        smooth += ((_LEVELS - 1) * area + best / 2) / _LEVELS
    return result * (_LEVELS - 1) / _LEVELS / len(true), smooth / len(true)


@numba.njit(cache=True, nogil=True)
def _roles(
    true: NDArray[np.bool_], counted: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """What each detection is to the thresholds.

    Returns:
        row: [detections], its number among those whose role differs, or -1 for what is false at
            every threshold, or -2 for what is ignored at every threshold.
        kind: of those whose role differs, [thresholds, n]: 1 true, -1 false, 0 ignored.
    """
    thresholds, detections = true.shape
    row = np.empty(detections, np.int64)
    kind = np.zeros((thresholds, detections), np.int8)
    n = 0
    for d in range(detections):
        found, seen = 0, 0
        for t in range(thresholds):
            kind[t, n] = 1 if true[t, d] else -1 if counted[t, d] else 0
            found += true[t, d]
            seen += counted[t, d]
        if seen == 0:
            row[d] = -2
        elif found == 0 and seen == thresholds:
            row[d] = -1
        else:
            row[d] = n
            n += 1
    return row, kind[:, :n].copy()


@numba.njit(cache=True, nogil=True)
def _gather(
    image: NDArray[np.int64],
    row: NDArray[np.int64],
    weights: NDArray[np.float64],
    start: int,
    weight: NDArray[np.float64],
    before: NDArray[np.float64],
) -> None:
    """Fill, for detections with a row, their `weight` and that of those false `before` them."""
    width = weight.shape[1]
    false = np.zeros(width)
    for d in range(len(image)):
        added = weights[image[d], start : start + width]
        k = row[d]
        if k == -1:
            for j in range(width):
                false[j] += added[j]
        elif k >= 0:
            for j in range(width):
                weight[k, j] = added[j]
                before[k, j] = false[j]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _climb(
    kind: NDArray[np.int8],
    weight: NDArray[np.float64],
    before: NDArray[np.float64],
    positives: NDArray[np.float64],
    precision: NDArray[np.float64],
    levels: NDArray[np.float64],
) -> int:
    """Fill `precision` and the number of recall `levels` reached at each true positive.

    From the end: the last one's row comes first, and is returned. A true positive whose weight is
    zero exceeds the one before it in neither, so it changes nothing.
    """
    width = len(positives)
    found, false = np.zeros(width), np.zeros(width)
    row = len(kind)
    for k in range(len(kind)):
        if kind[k] == 1:
            row -= 1
            for j in range(width):
                found[j] += weight[k, j]
                precision[row, j] = found[j] / (found[j] + false[j] + before[k, j] + _SPACING)
                recall = found[j] / positives[j]
                level = np.floor(recall * (_LEVELS - 1))  # one off at most: rounding
                level = level + 1 if (level + 1) * _GAP <= recall else level
                level = level - 1 if level * _GAP > recall else level
                levels[row, j] = level + 1
        elif kind[k] == -1:
            for j in range(width):
                false[j] += weight[k, j]
    return row


@numba.njit(cache=True, nogil=True)
def _mean_precision(
    precision: NDArray[np.float64],
    levels: NDArray[np.float64],
    positives: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Over the recall levels, of the best at or beyond each.

    Rows stand from the last true positive to the first: a loop over falling rows would not be
    vectorised.
    """
    best = np.zeros(len(positives))
    total = positives * 0  # NaN stays
    for row in range(len(precision)):
        for j in range(len(positives)):
            best[j] = max(best[j], precision[row, j])
            total[j] += best[j] * (levels[row, j] - levels[row + 1, j])
    return total / _LEVELS


@numba.njit(cache=True, nogil=True)
def match_by_score(  # noqa: C901, PLR0912, PLR0913, PLR0917 - compiled: one loop nest
    boxes: NDArray[np.float64],
    box_starts: NDArray[np.int64],
    truths: NDArray[np.float64],
    truth_starts: NDArray[np.int64],
    crowd: NDArray[np.bool_],
    ignored: NDArray[np.bool_],
    thresholds: NDArray[np.float64],
) -> NDArray[np.int64]:
    """COCOeval's assignment: each detection, best first, takes the truth it overlaps most.

    One-to-one, but a crowd may be taken any number of times; a truth that counts is preferred to
    one that is ignored. Returns the index of each detection's truth, or -1, [thresholds, n].

    Args:
        boxes: detections of one category, xywh, [n, 4], by image and then by falling score.
        box_starts: where each image's begin, and n, [images + 1].
        truths: xywh, [m, 4], by image.
        truth_starts: where each image's begin, and m, [images + 1].
        crowd: COCO's crowd rule holds for the truth, [m].
        ignored: the truth does not count, [m].
        thresholds: least IoU of a pair.
    """
    found = np.full((len(thresholds), len(boxes)), -1, np.int64)
    for image in range(len(box_starts) - 1):
        start, stop = box_starts[image], box_starts[image + 1]
        first, n = truth_starts[image], truth_starts[image + 1] - truth_starts[image]
        if start == stop or n == 0:
            continue
        order = np.empty(n, np.int64)  # those that count come first
        k = 0
        for wanted in (False, True):
            for g in range(first, first + n):
                if ignored[g] == wanted:
                    order[k] = g
                    k += 1
        shares = np.empty((stop - start, n))
        for d in range(start, stop):
            for k in range(n):
                shares[d - start, k] = _xywh_iou(boxes[d], truths[order[k]], crowd[order[k]])
        for t in range(len(thresholds)):
            taken = np.zeros(n, np.bool_)
            for d in range(start, stop):
                best = min(thresholds[t], 1 - 1e-10)
                match = -1
                for k in range(n):
                    if taken[k] and not crowd[order[k]]:
                        continue
                    if match > -1 and not ignored[order[match]] and ignored[order[k]]:
                        break
                    if shares[d - start, k] >= best:
                        best = shares[d - start, k]
                        match = k
                if match > -1:
                    taken[match] = True
                    found[t, d] = order[match]
    return found


@numba.njit(cache=True, nogil=True)
def peaks(heatmap: NDArray[np.float32], threshold: float) -> NDArray[np.int64]:
    """Flat indices of cells that no neighbour of their class exceeds, [n].

    Args:
        heatmap: [rows, columns, classes].
        threshold: the least value of a peak.
    """
    rows, columns, classes = heatmap.shape
    found = np.empty(heatmap.size, np.int64)
    n = 0
    for row in range(rows):
        for column in range(columns):
            for label in range(classes):
                value = heatmap[row, column, label]
                if value < threshold:
                    continue
                highest = True
                for y in range(max(row - 1, 0), min(row + 2, rows)):
                    for x in range(max(column - 1, 0), min(column + 2, columns)):
                        highest &= heatmap[y, x, label] <= value
                if highest:
                    found[n] = (row * columns + column) * classes + label
                    n += 1
    return found[:n].copy()


@numba.njit(cache=True, nogil=True)
def suppress(
    boxes: NDArray[np.float64], labels: NDArray[np.int64], threshold: float
) -> NDArray[np.bool_]:
    """Greedy non-maximum suppression within each label; which boxes stay, [n].

    Args:
        boxes: xywh by falling score, [n, 4].
        labels: boxes of different labels do not suppress each other, [n].
        threshold: a box that overlaps a better one by more than this IoU goes.
    """
    stays = np.ones(len(boxes), np.bool_)
    for i in range(len(boxes)):
        if not stays[i]:
            continue
        for j in range(i + 1, len(boxes)):
            if stays[j] and labels[i] == labels[j]:
                stays[j] = _xywh_iou(boxes[i], boxes[j], False) <= threshold
    return stays


@numba.njit(cache=True, nogil=True)
def _xywh_iou(box: NDArray[np.float64], truth: NDArray[np.float64], crowd: bool) -> float:  # noqa: FBT001 - a row of a table
    """As pycocotools computes it, operation for operation: thresholds are met exactly."""
    width = min(box[2] + box[0], truth[2] + truth[0]) - max(box[0], truth[0])
    height = min(box[3] + box[1], truth[3] + truth[1]) - max(box[1], truth[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    area = box[2] * box[3]
    union = area if crowd else area + truth[2] * truth[3] - both
    return float(both / union)
