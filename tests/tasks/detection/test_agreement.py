"""Agreement with the float model, by hand and by properties."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantbench.tasks.detection.metrics.agreement import changed, counted, moved

ONE = np.ones((1, 1))
numbers = st.integers(0, 80).map(float)


def box(score: float, place: float = 10, category: int = 1, width: float = 20) -> dict[str, Any]:
    return {"bbox": [place, 10.0, width, 20.0], "score": score, "category_id": category}


def row(*detections: dict[str, Any]) -> dict[str, Any]:
    return {"width": 200, "height": 200, "truths": [], "detections": list(detections)}


def agreement(quantized: dict[str, Any], reference: dict[str, Any]) -> dict[str, float]:
    found = counted([quantized], [reference], (1, 2)).numbers(ONE)
    return {name: float(values[0]) for name, values in found.items()}


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.builds(box, st.integers(1, 99).map(lambda n: n / 100), numbers, st.sampled_from([1, 2])),
        max_size=6,
        unique_by=lambda said: (said["bbox"][0], said["category_id"]),
    )
)
def test_the_float_model_agrees_with_itself(detections: list[dict[str, Any]]) -> None:
    itself = agreement(row(*detections), row(*detections))
    if not any(said["score"] >= 0.3 for said in detections):
        assert all(np.isnan(value) for value in itself.values())
        return
    assert itself["agreement_AP"] == pytest.approx(1)
    assert itself["agreement_IoU"] == pytest.approx(1)
    assert itself["score_drift"] == itself["lost"] == itself["gained"] == 0


def test_a_moved_box_and_a_lower_score_are_measured() -> None:
    found = agreement(row(box(0.7, width=10)), row(box(0.9)))
    assert found["agreement_IoU"] == pytest.approx(0.5)
    assert found["score_drift"] == pytest.approx(-0.2)
    assert found["lost"] == found["gained"] == 0
    assert found["agreement_AP"] == pytest.approx(0.1)  # at IoU .5 alone


def test_flips_are_counted_both_ways() -> None:
    reference = row(box(0.9), box(0.8, 100))
    found = agreement(row(box(0.9), box(0.2, 100), box(0.6, 60), box(0.5, 100, 2)), reference)
    assert found["lost"] == 1 / 2  # its score fell under what is shown
    assert found["gained"] == 2 / 2  # one elsewhere, one in another category


def test_one_box_is_no_partner_of_two() -> None:
    found = agreement(row(box(0.9)), row(box(0.9), box(0.8, 12)))
    assert found["lost"] == 1 / 2


def test_every_change_of_what_is_shown_is_counted_by_image() -> None:
    reference = [row(box(0.9), box(0.8, 100)), row(box(0.3)), row(), row(box(0.9))]
    rows = [
        row(box(0.9), box(0.2, 100), box(0.6, 60), box(0.5, 100, 2)),  # one lost, two gained
        row(box(0.3)),  # just shown, by both
        row(box(0.29)),  # shown by neither
        row(),
    ]
    assert changed(rows, reference, (1, 2)).tolist() == [3, 0, 0, 1]


def test_other_images_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        changed([row(), row()], [row()], (1,))


def test_a_box_is_an_object_however_small() -> None:
    small = row(box(0.9, width=0.01))
    found = agreement(small, small)
    assert found["agreement_AP"] == pytest.approx(1)
    assert agreement(row(), small)["lost"] == 1


@pytest.mark.parametrize("extent", [[0.0, 20.0], [20.0, 0.0]])
def test_a_box_without_area_is_no_object(extent: list[float]) -> None:
    flat = row(box(0.95) | {"bbox": [50.0, 10.0, *extent]}, box(0.9))
    found = agreement(flat, flat)
    assert found["agreement_AP"] == pytest.approx(1)
    assert found["lost"] == found["gained"] == 0


def test_a_weight_is_a_repetition() -> None:
    rows = [row(box(0.9)), row(box(0.2, 14)), row(box(0.8, 11), box(0.5, 90))]
    reference = [row(box(0.8)), row(box(0.9, 14)), row(box(0.6, 12))]
    weighted = counted(rows, reference, (1,)).numbers(np.array([[2.0, 0.0, 3.0]]))
    order = [0, 0, 2, 2, 2]
    repeated = counted([rows[i] for i in order], [reference[i] for i in order], (1,)).numbers(
        np.ones((1, 5))
    )
    for name, values in weighted.items():
        assert values[0] == pytest.approx(repeated[name][0], abs=1e-12)


class TestMoved:
    def test_nothing_has_moved_in_itself(self) -> None:
        rows = [row(box(0.9), box(0.2, 40)), row()]
        assert moved(rows, rows) == (0, 0)
        assert moved([row(box(0.9))], [row()]) == (0, 0)

    def test_a_lower_score_and_a_shifted_box_are_squared(self) -> None:
        # 20 wide, shifted by 5: 15 of 25 overlap.
        score, place = moved([row(box(0.6, 15))], [row(box(0.8, 10))])
        assert score == pytest.approx((0.2 / 0.8) ** 2)
        assert place == pytest.approx((1 - 15 / 25) ** 2)

    def test_what_is_gone_counts_one_and_each_by_its_score(self) -> None:
        reference = [row(box(0.6), box(0.3, 100)), row(box(0.1))]  # .1 is looked for by nobody
        score, place = moved([row(box(0.6), box(0.3, 100, 2)), row()], reference)
        assert score == place == pytest.approx(0.3 / 0.9)

    def test_the_nearest_of_its_category_is_followed(self) -> None:
        said = row(box(0.4, 12), box(0.9, 10, 2), box(0.5, 10))
        assert moved([said], [row(box(0.5))]) == (0, 0)
