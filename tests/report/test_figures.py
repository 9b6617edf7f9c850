"""Every figure of the published studies, from data, and none where there are none."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantbench.report.checking import views_of
from quantbench.report.drawing import Drawn, as_png, as_svg
from quantbench.report.exports import write_pngs
from quantbench.report.figures import drawn
from quantbench.report.figures.tradeoffs import pareto
from quantbench.report.views import Judgement, Number, Study, View, studies_of
from tests.report.conftest import both_studies, detection, slower, verdict

if TYPE_CHECKING:
    from pathlib import Path

OF_DETECTORS = {
    *("differences", "size", "latency", "ap_by_iou", "ap_by_area", "ap_by_category"),
    *("quality_size", "quality_latency", "quality_latency_bars", "as_published_AP"),
}
OF_LANGUAGE_MODELS = {
    *("differences", "size", "latency", "top_by_bits", "accuracy_memory", "speed_memory"),
    *("quality_size", "quality_latency", "quality_latency_bars", "as_published_accuracy", "flips"),
    "as_published_prefill_tokens_per_s",
}


def figures(records: list[dict[str, Any]]) -> dict[str, dict[str, Drawn]]:
    studies = studies_of(views_of({"records": records}, "x"))
    return {study.model: {each.name: each for each in drawn(study)} for study in studies}


def test_every_figure_of_both_studies_is_drawn() -> None:
    found = figures(both_studies())
    assert set(found["digits_centernet"]) == OF_DETECTORS
    assert set(found["smollm2_135m_instruct"]) == OF_LANGUAGE_MODELS


def test_captions_say_what_the_data_say() -> None:
    detector = figures(both_studies())["digits_centernet"]
    assert detector["size"].caption == (
        "The smallest is int8_static: 0.306 MB, 0.45 of the float model's."
    )
    assert "The fastest is int8_static, median 1 ms, 0.50 of" in detector["latency"].caption
    assert "int8_static's at IoU 0.50: -0.010" in detector["ap_by_iou"].caption
    other = figures([detection("float32", 0.7), detection("int8_static", 0.4, "fail")])
    assert "int8_static fail" in other["digits_centernet"]["differences"].caption


def test_noise_along_the_graph_is_drawn_where_a_case_was_looked_into() -> None:
    told = {
        "findings": [
            {
                "cause": "outlier activation",
                "ops": ["conv"],
                "place": 1,
                "text": "CONV_2D: the values spread over 3.1 of 255 levels",
                "numbers": {"levels": 3.1},
                "remedy": "float",
                "weight": 12.0,
            }
        ],
        "profile": [
            {"place": i, "op": op, "kind": "CONV_2D", "snr_db": snr}
            for i, (op, snr) in enumerate([("stem", 38.0), ("conv", 9.0), ("head", 8.5)])
        ],
        "flagged": ["conv"],
        "seconds": {"scan": 0.1},
    }
    records = [detection("float32", 0.7), detection("int8_static", 0.4, "fail")]
    records[1]["diagnosis"] = told
    found = figures(records)["digits_centernet"]["noise_profile"]
    assert found.caption == "int8_static: outlier activation (1 op)."
    curve, marks = found.figure.axes[0].get_lines()
    assert curve.get_ydata().tolist() == [38.0, 9.0, 8.5]
    assert marks.get_xydata().tolist() == [[1.0, 9.0]]


def test_learning_is_drawn_where_a_case_was_trained_back() -> None:
    """Held-out looks and what was trained on; nothing of cases that were not."""
    looks = [(0, None, 0.8, 0.5), (5000, 0.7, 0.5, 0.6), (9000, 0.4, 0.6, 0.55)]
    names = ("tokens", "training", "held_out", "agreement")
    curve = [{**dict(zip(names, look, strict=True)), "step": 1, "seconds": 2.0} for look in looks]
    records = both_studies()
    records[3]["build"] = {"learning_curve": curve, "adapter_rank": 16}
    found = figures(records)["smollm2_135m_instruct"]["learning_curve"]
    assert found.caption.startswith(
        "gptq_int8_g64: held-out divergence from 0.8 to 0.5 nats by 5,000 tokens, "
        "top-1 agreement from 50.0% to 60.0%."
    )
    held_out, trained = found.figure.axes[0].get_lines()
    assert held_out.get_xydata().tolist() == [[0, 0.8], [5, 0.5], [9, 0.6]]
    assert trained.get_xydata().tolist() == [[5, 0.7], [9, 0.4]]
    assert "learning_curve" not in figures(records)["digits_centernet"]
    (view,) = (v for v in views_of({"records": records}, "x") if v.learning)
    assert view.facts["adapter_rank"] == "16" and "learning_curve" not in view.facts


def test_what_learned_on_samples_is_told_in_samples() -> None:
    looks = [(0, None, 0.43, 0.83), (4000, 0.05, 0.04, 0.99)]
    names = ("samples", "training", "held_out", "agreement")
    curve = [dict(zip(names, look, strict=True)) for look in looks]
    records = both_studies()
    (index,) = (
        i for i, r in enumerate(records) if r["case"].startswith("digits_centernet-int8_st")
    )
    records[index]["build"] = {"learning_curve": curve}
    found = figures(records)["digits_centernet"]["learning_curve"]
    assert found.caption.startswith(
        "int8_static: held-out error from 0.43 to 0.04 of the float answers' variance by 4,000 "
        "samples, correlation from 83.0% to 99.0%."
    )
    axes = found.figure.axes[0]
    assert axes.get_xlabel() == "thousand samples trained on"
    assert axes.get_ylabel() == "error (share of the float answers' variance)"


def test_time_by_kind_is_drawn_of_the_case_that_lost_most() -> None:
    records = [detection("float32", 0.7), detection("int8_static", 0.69) | {"speed": slower()}]
    found = figures(records)["digits_centernet"]["speed"]
    assert found.caption.startswith("int8_static, one <inference>: 6.50 ms, 1.30 times slower")
    assert found.caption.endswith("1 SWISH <runs> outside.")
    widths = [round(bar.get_width(), 2) for bar in found.figure.axes[0].patches]
    assert widths == [0.5, 4.0, 0.5, 3.5, 2.0, 1.0]
    named = [label.get_text() for label in found.figure.axes[0].get_yticklabels()]
    assert named == ["SWISH", "CONV", "in no op"]
    assert "speed" not in figures(records[:1])["digits_centernet"]


def test_a_study_without_times_has_no_figure_of_times() -> None:
    records = [record | {"latency": None} for record in both_studies()]
    for found in figures(records).values():
        assert not {"latency", "quality_latency", "quality_latency_bars"} & set(found)


def test_a_case_that_broke_has_no_figure_and_breaks_none() -> None:
    broken = detection("int8_static", 0.5) | {
        "metrics": {},
        "verdicts": [],
        "latency": None,
        "memory": {"weights_bytes": None},
        "error": {"stage": "call", "type": "BuildError", "message": "no"},
    }
    found = figures([detection("float32", 0.7), broken])["digits_centernet"]
    assert "size" in found
    assert "differences" not in found


def test_a_reference_that_broke_breaks_no_figure() -> None:
    broken = detection("float32", 0.5) | {"metrics": {}, "verdicts": []}
    found = figures([broken, detection("int8_static", 0.6)])["digits_centernet"]
    assert {"ap_by_iou", "ap_by_area", "size"} <= set(found)


def test_the_category_figure_is_of_the_case_that_loses_most() -> None:
    """Where less is better too."""
    records = [detection("float32", 0.7)]
    for name, lost in (("fine", 0.01), ("bad", 0.5)):
        record = detection("int8_static", 0.6) | {"scheme": name, "case": name}
        record["metrics"]["lost"] = record["metrics"]["AP"]
        record["verdicts"] = [verdict("lost", lost, lower_is_better=True)]
        records.append(record)
    assert "bad" in figures(records)["digits_centernet"]["ap_by_category"].title


def test_an_end_that_nothing_bounds_reaches_the_edge() -> None:
    """With an arrow; the interval of a certain one does not."""
    record = detection("int8_static", 0.69)
    record["verdicts"][0]["low"] = None
    drawn_ = figures([detection("float32", 0.7), record])["digits_centernet"]["differences"]
    axes = drawn_.figure.axes[0]
    bar, arrow = axes.lines[0], axes.lines[1]
    assert bar.get_xdata()[0] == axes.get_xlim()[0]
    assert arrow.get_marker() == "<"


def test_an_svg_is_whole_takes_the_pages_ink_and_shares_no_id() -> None:
    made = [as_svg(each, "0") for each in figures(both_studies())["digits_centernet"].values()]
    ids: list[str] = []
    targets: set[str] = set()
    for text in made:
        root = ET.fromstring(text)  # noqa: S314 - made here
        assert root.attrib["viewBox"]
        assert "width" not in root.attrib
        assert "currentColor" in text
        assert "<metadata" not in text
        ids += [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
        targets |= set(re.findall(r'(?:url\(#|href="#)([^")]+)', text))
    assert len(ids) == len(set(ids))
    assert targets <= set(ids)


def test_a_name_with_markup_and_mathematics_is_a_name() -> None:
    record = detection("int8_static", 0.6) | {"scheme": "<b>$x^2$ & \\frac"}
    (found,) = figures([detection("float32", 0.7), record]).values()
    for figure in found.values():
        assert "<b>" not in as_svg(figure)
        ET.fromstring(as_svg(figure))  # noqa: S314 - made here


def test_pngs_are_written_under_safe_names(tmp_path: Path) -> None:
    record = detection("float32", 0.7) | {"model": "../../evil"}
    views = views_of({"records": [record]}, "x")
    written = write_pngs(views, tmp_path / "figures")
    assert written
    assert all(path.parent == tmp_path / "figures" for path in written)
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)
    (study,) = studies_of(views)
    assert as_png(drawn(study)[0]).startswith(b"\x89PNG")


@given(
    pairs=st.lists(st.tuples(st.integers(0, 6), st.integers(1, 6)), min_size=1), lower=st.booleans()
)
def test_the_front_holds_what_nothing_beats(pairs: list[tuple[int, int]], *, lower: bool) -> None:
    points = [
        (View("c", "m", f"s{i}", "t", "d", "cpu", "pass"), float(cost), Number(quality, 0, 1))
        for i, (quality, cost) in enumerate(pairs)
    ]
    front = {point[0].scheme for point in pareto(points, lower_is_better=lower)}
    for case, cost, number in points:
        quality = number.value or 0
        better = [
            (theirs.value or 0) < quality if lower else (theirs.value or 0) > quality
            for _, _, theirs in points
        ]
        equal = [theirs.value == quality for _, _, theirs in points]
        beaten = any(
            (b and paid <= cost) or (e and paid < cost)
            for b, e, (_, paid, _) in zip(better, equal, points, strict=True)
        )
        assert (case.scheme in front) != beaten


def test_a_case_that_fails_is_on_no_front_and_noise_does_not_count() -> None:
    def at(
        scheme: str, cost: float, value: float, verdict: str = "pass"
    ) -> tuple[View, float, Number]:
        judged = Judgement("AP", verdict, 0.02, 0.95, value - 0.75, value - 0.754, value - 0.746)
        case = View("c", "m", scheme, "t", "d", "cpu", verdict, headline="AP", judged=judged)
        return case, cost, Number(value, 0, 1)

    points = [
        at("float32", 4, 0.750),
        at("float16", 2, 0.749),  # .004 is the noise: as good, for half
        at("int8", 1, 0.740),
        at("int4", 0.5, 0.600, "fail, declared"),
    ]
    front = pareto(points, lower_is_better=False)
    assert [case.scheme for case, _, _ in front] == ["float16", "int8"]


@pytest.mark.parametrize("n", [1, 30])
def test_one_case_or_many_can_be_drawn(n: int) -> None:
    made = [
        detection("float32", 0.7) | {"scheme": f"scheme_with_a_long_name_{i}", "case": f"c{i}"}
        for i in range(n)
    ]
    (found,) = figures(made).values()
    assert "size" in found


def test_a_study_knows_its_direction() -> None:
    record = detection("int8_static", 0.6)
    record["metrics"]["perplexity"] = record["metrics"]["AP"]
    record["verdicts"] = [verdict("perplexity", 0.1, lower_is_better=True)]
    (study,) = studies_of(views_of({"records": [record]}, "x"))
    assert isinstance(study, Study)
    assert study.lower_is_better
