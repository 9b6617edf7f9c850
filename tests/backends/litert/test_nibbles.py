"""Four-bit integers in bytes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from quantbench.backends.litert.nibbles import packed, unpacked


@given(st.lists(st.integers(-8, 7), min_size=1, max_size=33))
def test_what_is_packed_is_unpacked(values: list[int]) -> None:
    content = packed(np.array(values, np.int8))
    assert len(content) == -(-len(values) // 2)
    assert unpacked(content, len(values)).tolist() == values


def test_the_first_is_in_the_lower_half() -> None:
    """As the schema says: 0x21 is 1, then 2."""
    assert packed(np.array([1, 2, -1])).tolist() == [0x21, 0x0F]
