"""The pictures whose answers changed most, with what both models say of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.data.pixels import thumbnail
from quantbench.stats.changes import most_changed
from quantbench.tasks.classification.metrics import agreement
from quantbench.tasks.classification.metrics.answers import said

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from quantbench.protocols import Row

_CLASSES = 5
_LEAST = 0.01  # of probability that moved: less is nothing that a person would look at


def changed_pictures(
    samples: Mapping[str, Any],
    rows: Sequence[Row],
    reference: Sequence[Row],
    names: Mapping[str, str],
    most: int,
) -> list[dict[str, Any]]:
    """Pictures to which the models say different classes, then those whose probabilities moved.

    Args:
        samples: pictures by id.
        rows: evidence of the quantized model.
        reference: the float model's.
        names: for people, of each class.
        most: how many.

    Returns:
        At most `most`, flipped answers first, each by how much probability went to other classes
        (`change`, in [0, 1], at least .01). `quantized` and `float` hold the five likeliest classes
        with their probabilities, and whether the answer is right; `picture` a JPEG.
    """
    found = agreement.per_picture(rows, reference)
    change = 1 - found["agreement_overlap"]
    order = np.where(found["agreement_top1"], change * (change >= _LEAST), 1 + change)
    return [
        {
            "id": rows[i]["id"],
            "change": round(float(change[i]), 4),
            "unit": "of the probability moved",
            "target": names.get(rows[i]["label"], rows[i]["label"]),
            **({"flip": [said(reference[i]), said(rows[i])]} if order[i] >= 1 else {}),
            "float": _said(reference[i], names),
            "quantized": _said(rows[i], names),
            **_pixels(samples[rows[i]["id"]].image),
        }
        for i in most_changed(order, most)
    ]


def _pixels(image: Any) -> dict[str, Any]:
    return {
        "width": image.shape[1],
        "height": image.shape[0],
        "picture": thumbnail(image),
    }


def _said(row: Row, names: Mapping[str, str]) -> dict[str, Any]:
    likeliest = list(zip(row["top"], row["top_logprobs"], strict=True))[:_CLASSES]
    return {
        "right": row["rank"] < 1,
        "words": [[names.get(each, each), round(math.exp(p), 4)] for each, p in likeliest],
    }
