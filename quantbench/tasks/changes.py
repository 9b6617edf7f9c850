"""Samples on which a quantized model departs furthest from its float model, for people to see."""

from __future__ import annotations

import base64
import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.metrics import agreement, language

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from quantbench.protocols import Row

_LONGEST_SIDE = 256  # pixels of a thumbnail, about 8 kB
_WORDS = 5


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
            "picture": _thumbnail(samples[rows[i]["id"]].image),
        }
        for i in _most_changed(change, most)
    ]


def changed_passages(
    samples: Mapping[str, Any],
    rows: Sequence[Row],
    reference: Sequence[Row],
    word: Callable[[int], str],
    most: int,
) -> list[dict[str, Any]]:
    """Passages whose target's log-probability moved furthest.

    Args:
        samples: passages by id.
        rows: evidence of the quantized model.
        reference: the float model's.
        word: the text of a token.
        most: how many.

    Returns:
        As `changed_pictures`. `change` is in nats; `quantized` and `float` hold the five
        likeliest first tokens with their probabilities, and whether the whole word was said.
    """
    moved = language.agreement_per_passage(rows, reference)["logprob_drift"]
    found = []
    for i in _most_changed(np.abs(moved), most):
        context, _, target = samples[rows[i]["id"]].text.rstrip().rpartition(" ")
        found.append(
            {
                "id": rows[i]["id"],
                "change": float(moved[i]),
                "context": context,
                "target": target,
                "float": _said(reference[i], word),
                "quantized": _said(rows[i], word),
            }
        )
    return found


def _most_changed(change: NDArray[Any], most: int) -> list[int]:
    order = np.argsort(-change, kind="stable")[:most]
    return [int(i) for i in order if change[i] > 0]


def _shown(row: Row) -> list[list[float]]:
    return [
        [*(round(side, 1) for side in said["bbox"]), round(said["score"], 3), said["category_id"]]
        for said in row["detections"]
        if said["score"] >= agreement.CONFIDENT
    ]


def _thumbnail(image: NDArray[Any]) -> str:
    """A JPEG in base64."""
    from PIL import Image

    picture = Image.fromarray(image)
    picture.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=70, optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def _said(row: Row, word: Callable[[int], str]) -> dict[str, Any]:
    likeliest = zip(row["top_ids"][0][:_WORDS], row["top_logprobs"][0][:_WORDS], strict=True)
    return {
        "right": all(rank == 0 for rank in row["ranks"]),
        "words": [[word(token), round(math.exp(logprob), 4)] for token, logprob in likeliest],
    }
