"""Samples of equal content are one sample: counted twice, they would be certain too soon."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from quantbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence


class Distinct(NamedTuple):
    """Samples of different content, and how many others were left out on the way."""

    samples: list[Any]
    left_out: int


def distinct(samples: Sequence[Any], n: int | None) -> Distinct:
    """The first `n` (None: all) samples of different content; of equal content the first is kept.

    Raises:
        DataError: two samples have the same id, or the same content and different truths.
    """
    _check_ids(samples)
    kept: dict[str, Any] = {}
    left_out = 0
    for sample in samples:
        if len(kept) == n:
            break
        first = kept.setdefault(sample.digest, sample)
        if first is not sample:
            _check_same_truth(first, sample)
            left_out += 1
    return Distinct(list(kept.values()), left_out)


def _check_ids(samples: Sequence[Any]) -> None:
    """Rows are paired by them."""
    seen: set[str] = set()
    for sample in samples:
        if sample.id in seen:
            raise DataError(
                "two samples have the same id",
                expected="ids that are unique in the data set",
                got=repr(sample.id),
            )
        seen.add(sample.id)


def _check_same_truth(first: Any, second: Any) -> None:
    """Of pictures, boxes or a label: the truth of a passage is its text."""
    truths = [
        sorted(json.dumps(truth, sort_keys=True) for truth in getattr(sample, "truths", ()))
        for sample in (first, second)
    ]
    if truths[0] != truths[1]:
        labels = [getattr(sample, "label", None) for sample in (first, second)]
        of_boxes = f"{len(truths[0])} and {len(truths[1])} boxes, of which not all are the same"
        raise DataError(
            "the same picture has two different truths",
            where=f"samples {first.id} and {second.id}",
            expected="the same boxes or label, or another picture",
            got=of_boxes if None in labels else f"the labels {' and '.join(map(repr, labels))}",
            remedy="leave one of the two out",
        )
