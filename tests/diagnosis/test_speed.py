"""What two profiles say: sums by kind, causes in words with their numbers, the roofline."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantbench.diagnosis.speed.compared import pairs_of
from quantbench.diagnosis.speed.findings import findings_of
from quantbench.diagnosis.speed.kinds import kinds_of
from quantbench.diagnosis.speed.roofline import Peaks, limits_of
from quantbench.protocols import OpTime, Profile, Work

MS = 1e6


def profile(*ops: tuple[str, float, str], whole: float | None = None, **more: Any) -> Profile:
    """Ops as kind, milliseconds and kernel; the whole is their sum unless it is said."""
    made = tuple(
        OpTime(
            place=i,
            kind=kind,
            name=f"{kind}_{i}",
            ns=ms * MS,
            kernel=kernel,
            converts=kind in {"QUANTIZE", "DEQUANTIZE"},
        )
        for i, (kind, ms, kernel) in enumerate(ops)
    )
    total = sum(op.ns for op in made) if whole is None else whole * MS
    known: dict[str, Any] = {"what": "one inference", "method": "by hand", "threads": 2} | more
    return Profile(whole_ns=total, ops=made, **known)


def said(before: Profile, after: Profile) -> dict[str, str]:
    return {each.cause: each.text for each in findings_of(before, after, None)}


FLOAT = profile(("CONV", 8.0, "XNNPACK"), ("SWISH", 0.5, "XNNPACK"), delegate="XNNPACK")


def test_ops_outside_the_delegate_are_named_with_their_share_and_their_time_in_float() -> None:
    after = profile(
        ("CONV", 4.0, "XNNPACK"),
        ("SWISH", 3.0, "LiteRT"),
        ("SWISH", 3.0, "LiteRT"),
        delegate="XNNPACK",
        remarks={"SWISH": "it has no integer kernel there"},
    )
    text = said(FLOAT, after)["outside the delegate"]
    assert text == (
        "2 SWISH run outside XNNPACK: 6.00 of 10.0 ms, 0.50 ms in float; "
        "it has no integer kernel there"
    )


def test_of_a_kind_that_fell_out_in_part_the_whole_is_told() -> None:
    """One of thirty fell out; what counts is that all of them are slower."""
    before = profile(*[("CONV", 1.0, "X")] * 30, delegate="X")
    after = profile(*[("CONV", 2.0, "X")] * 29, ("CONV", 10.0, "plain"), delegate="X")
    (found,) = findings_of(before, after, None)
    assert found.ns == pytest.approx(38 * MS)
    assert found.text == (
        "1 of 30 CONV run outside X: 10.0 of 68.0 ms; all 30 take 68.0, 30.0 ms in float"
    )


def test_a_delegate_that_refuses_the_quantized_model_is_named() -> None:
    after = profile(("CONV", 50.0, "plain"), ("SWISH", 1.0, "plain"))
    assert said(FLOAT, after)["outside the delegate"].startswith("XNNPACK takes nothing of")


def test_a_conversion_outside_the_delegate_is_told_once() -> None:
    after = profile(("QUANTIZE", 10.0, "plain"), ("CONV", 10.0, "X"), delegate="X")
    assert set(said(profile(("CONV", 10.0, "X"), delegate="X"), after)) == {"conversions"}


def test_conversions_are_summed_and_told_apart_from_what_computes() -> None:
    after = profile(("QUANTIZE", 2.0, ""), ("CONV", 4.0, ""), ("DEQUANTIZE", 1.0, ""))
    found = said(profile(("CONV", 8.0, "")), after)
    assert found["conversions"].startswith("conversions take 3.00 of 7.00 ms and compute nothing")
    assert "1 QUANTIZE, 1 DEQUANTIZE" in found["conversions"]
    assert found["faster kernels"] == "1 CONV: 4.00 ms, in float 8.00 (2.0 times faster)"


def test_a_slower_kernel_comes_before_a_faster_one_and_small_change_is_left_out() -> None:
    before = profile(("CONV", 8.0, ""), ("ADD", 1.0, ""), ("MEAN", 0.10, ""))
    after = profile(("CONV", 4.0, ""), ("ADD", 3.0, ""), ("MEAN", 0.11, ""))
    found = findings_of(before, after, None)
    assert [each.cause for each in found] == ["slower kernels", "faster kernels"]
    assert found[0].ns == pytest.approx(2 * MS)


def test_what_is_in_no_op_is_told_with_the_pieces_of_a_delegate() -> None:
    before = profile(("CONV", 8.0, "X"), whole=8.0, partitions=1, delegate="X")
    after = profile(("CONV", 4.0, "X"), whole=9.0, partitions=41, delegate="X")
    text = said(before, after)["between ops"]
    assert text.startswith("5.00 of 9.00 ms are in no op")
    assert "41 pieces, the float one in 1" in text


@pytest.mark.parametrize(("covered", "doubted"), [(0.5, True), (0.95, False), (1.3, True)])
def test_parts_that_do_not_add_up_are_doubted(covered: float, doubted: bool) -> None:  # noqa: FBT001
    after = profile(("CONV", 8.0 * covered, ""), whole=8.0, delegate="", partitions=1)
    assert ("parts" in said(profile(("CONV", 8.0, "")), after)) == doubted


times = st.lists(st.tuples(st.sampled_from("ABC"), st.floats(0.01, 50), st.just("")), min_size=1)


@given(times, times)
def test_no_time_is_lost_by_summing(one: list[Any], other: list[Any]) -> None:
    before, after = profile(*one), profile(*other)
    kinds = kinds_of(before, after)
    assert sum(kind.before.ns for kind in kinds) == pytest.approx(before.whole_ns)
    assert sum(kind.after.ns for kind in kinds) == pytest.approx(after.whole_ns)
    assert sum(kind.before.ops for kind in kinds) == len(one)
    assert [kind.lost_ns for kind in kinds] == sorted((k.lost_ns for k in kinds), reverse=True)


@pytest.mark.parametrize(
    ("read", "operations", "word"),
    [
        (200_000_000, 10**6, "memory-bound: 200 MB at 20.0 GB/s is 10.0 of 12.0 ms"),
        (1_000_000, 900_000_000, "bound by arithmetic: 0.90 G operations at 100 G/s (float32)"),
        (10_000_000, 10**7, "far from both limits"),
        (100_000_000, 10**7, "no limit explains it alone"),
        (400_000_000, 10**7, "its weights fit a cache"),
    ],
)
def test_the_roofline_says_which_limit_binds(read: int, operations: int, word: str) -> None:
    timed = profile(("A", 12.0, ""), work=Work(read_bytes=read, operations=operations))
    limits = limits_of(timed, Peaks(20e9, 100e9, "float32"))
    assert limits is not None
    assert limits.text.startswith(word)
    assert limits_of(profile(("A", 12.0, "")), Peaks(20e9, 100e9, "float32")) is None


def test_inferences_are_laid_beside_those_that_ran_the_same_and_are_plain_json() -> None:
    before = [profile(("A", 1.0, ""), what="a prompt"), profile(("A", 2.0, ""), what="a token")]
    after = [profile(("A", 3.0, ""), what="a token"), profile(("A", 1.0, ""), what="a picture")]
    (pair,) = pairs_of(before, after, None)
    found = pair.as_json()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert (found["what"], found["float"]["ms"], found["quantized"]["ms"]) == ("a token", 2.0, 3.0)
    assert found["kinds"] == [
        {
            "kind": "A",
            "converts": False,
            "float": {"ops": 1, "ms": 2.0},
            "quantized": {"ops": 1, "ms": 3.0},
        }
    ]
