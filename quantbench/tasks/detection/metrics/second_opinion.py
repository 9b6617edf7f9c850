"""Average precision, cross-checked with hotcoco."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from quantbench.errors import AnchorError
from quantbench.tasks.detection.metrics.lost_precision import evaluated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quantbench.protocols import Row

_APART = 1e-9  # both follow pycocotools to 1e-12


def check_average_precision(ours: float, rows: Sequence[Row], categories: Sequence[int]) -> None:
    """Make sure that hotcoco computes the same AP; without truths there is none to compute.

    Args:
        ours: of `average_precision.summarise`.
        rows: as in `matching.match`.
        categories: ids that the detector can say.

    Raises:
        AnchorError: it does not.
    """
    evaluation = evaluated(rows, categories)
    if evaluation is None:
        return
    evaluation.accumulate()
    # [IoU thresholds, recalls, categories, areas, most detections]: all areas, 100 detections.
    precision = np.asarray(evaluation.eval["precision"])[:, :, :, 0, -1]
    defined = precision[precision >= 0]
    theirs = float(defined.mean()) if defined.size else ours
    if not abs(ours - theirs) <= _APART:  # NaN is a disagreement too
        raise AnchorError(
            "two implementations of COCO's protocol disagree on the same detections",
            expected=f"AP {theirs:.6g}, by hotcoco",
            got=f"AP {ours:.6g}",
            remedy="report it, with both versions: until they agree neither number means anything",
        )
