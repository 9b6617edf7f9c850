"""Noise tensor by tensor, and what it convicts, on products of matrices."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest

from quantbench.diagnosis.noise import FAIR_DB, Stored, TensorNoise, TensorSums, in_order
from quantbench.diagnosis.noise_findings import judged
from quantbench.diagnosis.ranges import grid, rounded
from tests.diagnosis.products import CHAIN, Products, pictures

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from quantbench.diagnosis.findings import Finding
    from quantbench.diagnosis.ranges import Range

LIMITS = (-128, 127)


def stored(values: NDArray[np.float32], within: Range, off: int = 0) -> Stored:
    """Of values that are rounded to a range; `off` moves the zero point."""
    step, zero = grid(within)
    point = zero - 128 + off
    kept = np.clip(np.rint(values / step) + point, *LIMITS).astype(np.int8)
    return Stored(kept, step, point, LIMITS)


def said(kept: Stored) -> NDArray[np.float32]:
    values = (kept.values.astype(np.float64) - kept.zero_point) * kept.scale
    return values.astype(np.float32)


def sums(within: Range, off: int = 0) -> TensorSums:
    found = TensorSums()
    for values in pictures(200):
        kept = stored(values, within, off)
        found.add(values, said(kept), kept)
    return found


def test_sums_are_those_of_the_definitions() -> None:
    x = np.stack(pictures(200)).astype(np.float64)
    within = (-2.0, 3.1)
    found, step = sums(within), 5.1 / 255
    q = rounded(x, within)
    assert found.snr_db == pytest.approx(
        10 * np.log10((x**2).sum() / ((x - q) ** 2).sum()), abs=1e-3
    )
    assert found.levels == pytest.approx(x.std() / step)
    outside = (x < -2.0 - step / 2) | (x > 3.1 + step / 2)
    assert found.clipped == pytest.approx(outside.mean())
    assert found.distinct == len(np.unique(np.rint(np.clip(x, *within) / step)))
    assert found.spare == 0


def test_a_tensor_in_float_has_no_levels() -> None:
    found = TensorSums()
    assert found.empty
    (values,) = pictures(1)
    found.add(values, values)
    assert (found.empty, found.levels, found.clipped) == (False, 0.0, 0.0)
    assert (found.spare, found.distinct, found.snr_db) == (0, 0, 120.0)


def noise_of(offs: dict[str, int], ranges: dict[str, Range]) -> list[TensorNoise]:
    model, found = Products(), {tensor: TensorSums() for tensor in "abcd"}
    for sample in pictures(64):
        meant = model.traced(sample)
        now = sample.astype(np.float64)
        for tensor, weights in zip("abcd", model.weights, strict=True):
            kept = stored((now @ weights).astype(np.float32), ranges[tensor], offs.get(tensor, 0))
            now = said(kept).astype(np.float64)
            found[tensor].add(meant[tensor], said(kept), kept)
    return in_order(CHAIN, found)


def the_worst(noise: list[TensorNoise]) -> Finding:
    return max(judged(noise, {"fourth", "squash"}), key=lambda found: found.weight)


@pytest.fixture
def ranges() -> dict[str, Range]:
    return dict(Products().settings["minimum and maximum"])


def test_noise_goes_down_the_graph_and_an_op_counts_by_its_own(ranges: dict[str, Range]) -> None:
    noise = noise_of({}, ranges)
    assert [each.op for each in noise] == ["first", "second", "third", "fourth"]
    assert noise[0].source_snr_db == 120
    for before, after in itertools.pairwise(noise):
        assert after.source_snr_db == before.snr_db
    # Of the tensor with one large channel, that channel is the signal: what reads it hears the
    # others' noise.
    assert max(noise, key=lambda each: each.drop_db).op == "third"
    assert noise[0].drop_db == max(FAIR_DB - noise[0].snr_db, 0)


def test_a_tensor_that_one_graph_lacks_hands_on_the_noise_before_it() -> None:
    model, found = Products(), {tensor: TensorSums() for tensor in "bd"}
    for sample in pictures(8):
        meant = model.traced(sample)
        for tensor, totals in found.items():
            totals.add(meant[tensor], np.float32(1.01) * meant[tensor])
    noise = in_order(CHAIN, found)
    assert [each.op for each in noise] == ["second", "fourth"]
    assert noise[1].source_snr_db == noise[0].snr_db == pytest.approx(40, abs=0.01)


def test_causes_are_told_apart(ranges: dict[str, Range]) -> None:
    low, high = ranges["a"]
    clipped = the_worst(noise_of({}, {**ranges, "a": (low / 4, high / 4)}))
    assert (clipped.cause, clipped.ops) == ("clipped range", ("first",))
    shifted = the_worst(noise_of({"a": 100}, ranges))
    assert (shifted.cause, shifted.ops) == ("wrong zero point", ("first",))
    wide = the_worst(noise_of({}, {**ranges, "a": (60 * low, 60 * high)}))
    assert (wide.cause, wide.ops) == ("outlier activation", ("first",))


def test_what_is_clipped_at_the_end_is_an_output_head_and_the_rest_is_told_with_doubt() -> None:
    head = TensorNoise(3, "fourth", "Product", 5.0, 40.0, 80.0, 0.2, 0, 256)
    assert [found.cause for found in judged([head], {"fourth"})] == ["clipped output head"]
    noisy = TensorNoise(2, "third", "Product", 20.0, 40.0, 80.0, 0.0, 0, 256)
    (found,) = judged([noisy], {"fourth"})
    assert found.cause == "noisy op"
    assert found.weight == pytest.approx(0.1 * (FAIR_DB - 20))
    fair = TensorNoise(2, "third", "Product", 31.0, 40.0, 4.0, 0.2, 0, 256)
    assert list(judged([fair], set())) == []
