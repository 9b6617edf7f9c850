"""What the precision that a detector lacks is made of (TIDE: Bolya et al., 2020), by hotcoco."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from quantbench.protocols import Row

_KINDS = {
    "Cls": "classification",
    "Loc": "localisation",
    "Both": "both",
    "Dupe": "duplicate",
    "Bkg": "background",
    "Miss": "missed",
}


def lost_precision(
    rows: Sequence[Row], categories: Sequence[int]
) -> dict[str, dict[str, float]] | None:
    """By how much AP at IoU .5 would rise if one kind of error were mended; None without truths.

    Each kind has its `gain` in AP, and the `count` of its errors.

    `classification`: right place, wrong category; `localisation`: right category, IoU in
    [.1, .5); `both`: neither; `duplicate`: of an object found already; `background`: IoU under
    .1 with everything; `missed`: objects that none of these explains. They need not sum to
    1 - AP50: mending one error can uncover another. Where every object of a category is missed,
    TIDE gains nothing by leaving them out, since nothing is left: there the count says it.

    Args:
        rows: as in `matching.match`, with the image's `width` and `height`.
        categories: ids that the detector can say.
    """
    evaluation = evaluated(rows, categories)
    if evaluation is None:
        return None
    found = evaluation.tide_errors(pos_thr=0.5, bg_thr=0.1)
    return {
        name: {"gain": float(found["delta_ap"][kind]), "count": int(found["counts"][kind])}
        for kind, name in _KINDS.items()
    }


def evaluated(rows: Sequence[Row], categories: Sequence[int]) -> Any | None:
    """What hotcoco makes of the rows: its COCOeval after `evaluate()`, or None without truths."""
    import hotcoco

    truths = [{**truth, "image_id": i} for i, row in enumerate(rows) for truth in row["truths"]]
    if all(truth["iscrowd"] for truth in truths):
        return None
    known = sorted({*categories, *(truth["category_id"] for truth in truths)})
    truth = hotcoco.COCO(
        {
            "images": [
                {"id": i, "width": row["width"], "height": row["height"]}
                for i, row in enumerate(rows)
            ],
            "categories": [{"id": category, "name": str(category)} for category in known],
            "annotations": [{**truth, "id": n} for n, truth in enumerate(truths, start=1)],
        }
    )
    said = np.array(list(_results(rows)), dtype=np.float64).reshape(-1, 7)
    evaluation = hotcoco.COCOeval(truth, truth.load_res(said), "bbox")
    evaluation.evaluate()
    return evaluation


def _results(rows: Sequence[Row]) -> Iterator[tuple[float, ...]]:
    for i, row in enumerate(rows):
        for said in row["detections"]:
            yield (i, *said["bbox"], said["score"], said["category_id"])
