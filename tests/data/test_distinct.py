"""The same content under other ids is one sample."""

from __future__ import annotations

import numpy as np
import pytest

from quantbench.data.distinct import distinct
from quantbench.data.samples import Passage, Picture
from quantbench.errors import DataError


def passages(*texts: str) -> list[Passage]:
    return [Passage(str(i), text) for i, text in enumerate(texts)]


def test_of_equal_content_the_first_is_kept() -> None:
    found = passages("a dog", "a cat", "A dog!", "a bird", "a cat")
    assert distinct(found, None) == ([found[0], found[1], found[3]], 2)
    assert distinct(found, 3) == ([found[0], found[1], found[3]], 1)
    assert distinct(found, 2) == ([found[0], found[1]], 0)
    assert distinct(found, 9).left_out == 2


def picture(name: str, *boxes: float) -> Picture:
    truths = tuple({"bbox": [x, 0, 1, 1], "category_id": 1} for x in boxes)
    return Picture(name, np.zeros((4, 4, 3), np.uint8), truths)


def test_the_same_picture_with_two_truths_is_a_contradiction() -> None:
    alike = [picture("a", 0, 2), picture("b", 2, 0)]
    assert distinct(alike, None) == (alike[:1], 1)
    with pytest.raises(
        DataError, match=r"(?s)two different truths.*samples a and b.*2 and 1 boxes"
    ):
        distinct([picture("a", 0, 2), picture("b", 0)], None)


def test_two_samples_of_one_id_are_refused() -> None:
    with pytest.raises(DataError, match=r"(?s)two samples have the same id.*'a'"):
        distinct([Passage("a", "a dog"), Passage("a", "a cat")], None)
