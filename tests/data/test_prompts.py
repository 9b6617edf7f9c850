"""Answers to other tokens are never compared, and packed numbers come back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantbench.data.packed import pack, unpack
from quantbench.data.prompts import check_same_tokens
from quantbench.errors import DataError


def test_the_first_place_that_differs_is_shown_with_both_sides() -> None:
    rows = [{"id": "a", "tokens": [1, 2, 3]}, {"id": "b", "tokens": [4, 5, 6, 7]}]
    was = [{"id": "a", "tokens": [1, 2, 3]}, {"id": "b", "tokens": [4, 9, 6]}]
    check_same_tokens(rows, rows)
    with pytest.raises(DataError) as caught:
        check_same_tokens(rows, was)
    assert caught.value.where == "b, token 1 of 4 and of 3"
    assert caught.value.got == "ids 5, 6, 7"
    assert "ids 9, 6" in str(caught.value.expected)


def test_a_token_less_is_a_difference() -> None:
    with pytest.raises(DataError) as caught:
        check_same_tokens([{"id": "a", "tokens": [1, 2]}], [{"id": "a", "tokens": [1, 2, 3]}])
    assert caught.value.where == "a, token 2 of 2 and of 3"
    assert caught.value.got == "no more ids"


def test_rows_of_files_know_no_tokens() -> None:
    check_same_tokens([{"id": "a", "tokens": [1]}], [{"id": "a"}])
    check_same_tokens([{"id": "a"}], [{"id": "a", "tokens": [1]}])


@given(st.lists(st.integers(-(2**31), 2**31 - 1)))
def test_whole_numbers_come_back(numbers: list[int]) -> None:
    assert unpack(pack(numbers, "int32"), "int32").tolist() == numbers


@given(st.lists(st.floats(width=32, allow_nan=False)))
def test_float32_comes_back(numbers: list[float]) -> None:
    assert unpack(pack(numbers, "float32"), "float32").tolist() == numbers


def test_rows_are_packed_one_behind_the_other() -> None:
    assert pack([[1, 2], [3, 4]], "int32") == "AQAAAAIAAAADAAAABAAAAA=="
    found = unpack("AQAAAAIAAAADAAAABAAAAA==", "int32").reshape(2, 2)
    assert np.array_equal(found, [[1, 2], [3, 4]])
    with pytest.raises(ValueError, match="base64"):
        unpack("no base64!", "int32")
