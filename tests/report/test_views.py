"""What a report takes from a record file, and what it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from quantbench.errors import RecordError
from quantbench.report.checking import views_of
from quantbench.report.outcome import outcome
from quantbench.report.reports import gathered
from quantbench.report.views import studies_of
from tests.report.conftest import both_studies, detection, language, verdict

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_the_worst_comes_first_and_ratios_are_to_the_reference(
    written: Callable[..., Path],
) -> None:
    views, (run,) = gathered([written(both_studies())])
    assert [view.verdict for view in views] == ["fail, declared", *["pass"] * 4]
    by_scheme = {view.scheme: view for view in views}
    assert by_scheme["int8_static"].size_ratio == pytest.approx(306_496 / 684_140)
    assert by_scheme["int8_static"].latency_ratio == pytest.approx(0.5)
    assert by_scheme["float32"].size_ratio is None
    assert run["facts"]["packages"] == "torch 2.13"
    assert run["skipped"] == {"coco was not given": ["a-b-c"]}


def test_the_sentence_counts_every_case_once() -> None:
    records = both_studies()
    records[1]["verdicts"][0]["outcome"] = "fail"
    records[3]["verdicts"] = []
    said = outcome(views_of({"records": records}, "x"))
    assert said == (
        "Of 5 cases, 1 is worse than its margin allows, 2 pass, 1 fails as declared and "
        "1 was not judged. To look at: digits_centernet-int8_static-digit_scenes."
    )


def test_one_case_in_two_files_is_two_with_the_files_name(written: Callable[..., Path]) -> None:
    one = written([detection("float32", 0.7)], "monday.json")
    other = written([detection("float32", 0.69)], "friday.json")
    views, _ = gathered([one, other])
    assert {view.run for view in views} == {"monday", "friday"}
    assert len(studies_of(views)) == 2


def test_files_of_one_name_are_told_apart(written: Callable[..., Path], tmp_path: Path) -> None:
    paths = []
    for branch in ("main", "branch"):
        (tmp_path / branch).mkdir()
        paths.append(written([detection("float32", 0.7)], f"{branch}/out.json"))
    views, runs = gathered(paths)
    assert {view.run for view in views} == {"main/out", "branch/out"}
    assert [run["file"] for run in runs] == ["main/out", "branch/out"]


def test_one_file_holds_a_case_once(written: Callable[..., Path]) -> None:
    with pytest.raises(RecordError, match="twice"):
        gathered([written([detection("float32", 0.7), detection("float32", 0.6)])])


def test_the_gate_that_decides_is_named_where_another_is_shown() -> None:
    record = detection("int8_static", 0.69)
    record["verdicts"].append(verdict("latency", 0.4, "fail", relative=True, lower_is_better=True))
    (view,) = views_of({"records": [record]}, "x")
    assert view.verdict_in_full == "fail (latency)"
    assert view.judged is not None
    assert view.judged.metric == "AP"


def test_a_reference_has_the_bits_that_it_runs_in() -> None:
    record = language("reference", 0.6, (0, 0))
    record["runner"]["dtype"] = "bfloat16"
    (view,) = views_of({"records": [record]}, "x")
    assert view.bits == 16


def test_other_studies_in_other_files_stand_side_by_side(written: Callable[..., Path]) -> None:
    views, runs = gathered(
        [
            written([detection("float32", 0.7)], "one.json"),
            written([language("reference", 0.6, (0, 0))], "two.json"),
        ]
    )
    assert {view.run for view in views} == {""}
    assert [run["file"] for run in runs] == ["one.json", "two.json"]


@pytest.mark.parametrize(
    "broken",
    [
        {"metrics": {"AP": {"value": "high", "low": 0, "high": 1}}},
        {"metrics": {"AP": {"value": True, "low": 0, "high": 1}}},
        {"metrics": {"AP": {"value": 0.5}}},
        {"metrics": {"AP": 0.5}},
        {"verdicts": [verdict("AP", 0.1, flips=[1])]},
        {"verdicts": [verdict("AP", 0.1, flips="none")]},
        {"verdicts": [verdict("AP", 0.1, outcome="splendid")]},
        {"verdicts": [verdict("AP", 0.1, margin=None)]},
        {"memory": [1]},
        {"memory": {"weights_bytes": "many"}},
        {"latency": {"median_ns": [1]}},
        {"error": {"type": 3}},
        {"examples": [{"id": "x"}]},
        {"examples": [{"id": "x", "change": 1, "picture": 3, "width": 1, "height": 1}]},
        {"labels": [1]},
        {"dataset": {"name": 3}},
        {"scheme": "\ud800"},
        {"runner": {"kernel": "\ud800"}},
        {"examples": [dict.fromkeys(("id", "picture"), "x") | {"change": 1, "width": None}]},
        {"note": {"a": 1}},
        {"explanation": [1]},
        {"explanation": {"flipped": [{"from": 1, "to": "a", "n": 1}]}},
        {"explanation": {"flipped": [{"from": "b", "to": "a", "n": None}]}},
        {"explanation": {"change_by_class": {"a": {"n": 1}}}},
        {"explanation": {"change_by_class": {"a": {"n": 1, "right": "1", "were": 1}}}},
    ],
    ids=str,
)
def test_a_malformed_record_is_an_error_that_names_it(
    broken: dict[str, Any], written: Callable[..., Path]
) -> None:
    path = written([detection("int8_static", 0.6) | broken])
    with pytest.raises(RecordError, match=r"malformed|record's") as caught:
        gathered([path])
    assert "out.json" in str(caught.value)


def test_a_file_in_which_nothing_ran_says_so(written: Callable[..., Path]) -> None:
    with pytest.raises(RecordError, match="no case ran"):
        gathered([written([])])


def test_what_an_older_record_does_not_know_is_left_out(written: Callable[..., Path]) -> None:
    """Schema 1 had no reference, no flips, no quartiles, no examples."""
    record = detection("int8_static", 0.6)
    for name in ("reference", "bits", "labels", "examples", "energy", "device", "timings_s"):
        del record[name]
    record["latency"] = {"median_ns": 10**6}
    record["verdicts"] = [
        {
            "metric": "AP",
            "margin": 0.05,
            "confidence": 0.95,
            "outcome": "pass",
            "difference": 0.0,
            "low": -0.01,
            "high": 0.01,
            "method": "m",
            "expected": "pass",
            "reason": "",
        }
    ]
    (view,), _ = gathered([written([record], schema=1)])
    assert view.box is None
    assert view.latency_s == pytest.approx(1e-3)
    assert view.energy == "unavailable"
