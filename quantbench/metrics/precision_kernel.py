"""The inner loop of average precision under many sets of image weights, compiled by numba."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LEVELS = np.linspace(0.0, 1.0, 101)
_SPACING = np.spacing(1)  # COCOeval adds it to the denominator


@numba.njit(cache=True, nogil=True)
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
        weights: [replicates, images].
        positives: weighted number of truths, [replicates]; NaN gives 0.

    Time: thresholds x replicates x detections. Precision is looked at where recall moves only:
    the interpolated precision of a recall level is the best one at or beyond it, and between two
    true positives it falls.
    """
    thresholds, detections = true.shape
    replicates = weights.shape[0]
    result = np.zeros((thresholds, replicates))
    recall = np.empty(detections)
    precision = np.empty(detections)
    for r in range(replicates):
        for t in range(thresholds):
            found = 0.0
            seen = 0.0
            steps = 0
            for d in range(detections):
                if not counted[t, d]:
                    continue
                weight = weights[r, image[d]]
                seen += weight
                if true[t, d] and weight > 0:
                    found += weight
                    recall[steps] = found / positives[r]
                    precision[steps] = found / (seen + _SPACING)
                    steps += 1
            best = 0.0
            total = 0.0
            level = len(_LEVELS) - 1
            for step in range(steps - 1, -1, -1):
                best = max(best, precision[step])
                before = recall[step - 1] if step > 0 else -1.0
                while level >= 0 and _LEVELS[level] > before:
                    if _LEVELS[level] <= recall[step]:
                        total += best
                    level -= 1
            result[t, r] = total / len(_LEVELS)
    return result
