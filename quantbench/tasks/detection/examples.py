"""The pictures that changed most, with what both models show on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quantbench.data.pixels import thumbnail
from quantbench.stats.changes import most_changed
from quantbench.tasks.detection.metrics import agreement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from quantbench.protocols import Row


def changed_pictures(
    samples: Mapping[str, Any],
    rows: Sequence[Row],
    reference: Sequence[Row],
    categories: Sequence[int],
    most: int,
) -> list[dict[str, Any]]:
    """Pictures with most confident objects (score >= .3) that only one of the two models shows.

    Returns:
        At most `most`, most changed first, ties in the data set's order; pictures without a change
        are left out. `change` is a number of objects; `quantized` and `float` hold boxes
        [x, y, width, height, score, category id] in pixels of the picture, `picture` a JPEG.
    """
    change = agreement.changed(rows, reference, categories)
    return [
        {
            "id": rows[i]["id"],
            "change": int(change[i]),
            "width": rows[i]["width"],
            "height": rows[i]["height"],
            "float": _shown(reference[i]),
            "quantized": _shown(rows[i]),
            "picture": thumbnail(samples[rows[i]["id"]].image),
        }
        for i in most_changed(change, most)
    ]


def _shown(row: Row) -> list[list[float]]:
    return [
        [*(round(side, 1) for side in said["bbox"]), round(said["score"], 3), said["category_id"]]
        for said in row["detections"]
        if said["score"] >= agreement.CONFIDENT
    ]
