"""The page: self-contained, escaped, within its size."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest

from quantbench.errors import RecordError
from quantbench.report.exports import as_csv, as_json, as_markdown
from quantbench.report.numbers import milliseconds
from quantbench.report.page import as_html
from quantbench.report.reports import gathered
from quantbench.report.tables import escaped, inert
from tests.report.conftest import both_studies, detection, language, slower, verdict

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'{{7*7}}"


class _Page(HTMLParser):
    """Tags with their attributes, and the text of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.script = ""
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag == "script"

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "script"

    def handle_data(self, data: str) -> None:
        self.script += data if self._inside else ""


def page_of(path: Path) -> str:
    return as_html(*gathered([path]))


def test_nothing_is_loaded_and_one_script_runs(written: Callable[..., Path]) -> None:
    text = page_of(written(both_studies()))
    page = _Page(text)
    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv"))
    digest = base64.b64encode(hashlib.sha256(page.script.encode()).digest()).decode()
    assert policy is not None
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert [tag for tag, _ in page.tags].count("script") == 1
    for _, attributes in page.tags:
        for name in ("src", "href", "xlink:href"):
            target = attributes.get(name) or "#"
            assert target.startswith(("#", "data:image/jpeg;base64,", "data:,"))
        assert not [name for name in attributes if name.startswith("on")]
    assert len(text) < 3_000_000


def test_what_a_record_says_is_text(written: Callable[..., Path]) -> None:
    """In every place where a text of the file stands."""
    records = both_studies()
    records[1] |= {"scheme": HOSTILE, "note": HOSTILE, "baseline": HOSTILE}
    records[1]["labels"] = {"1": HOSTILE, "2": HOSTILE}
    records[1]["runner"] = {HOSTILE: HOSTILE}
    records[1]["examples"][0]["id"] = HOSTILE
    records[3] |= {"model": HOSTILE, "dataset": {"name": HOSTILE, "n": 1}, "case": HOSTILE}
    records[3]["examples"][0] |= {"context": HOSTILE, "target": HOSTILE}
    records[3]["examples"][0]["float"]["words"] = [[HOSTILE, 0.5]]
    records[4]["error"] = {"stage": "call", "type": HOSTILE, "message": HOSTILE}
    path = written(
        records,
        environment={HOSTILE: HOSTILE, "packages": {HOSTILE: HOSTILE}},
        skipped=[{"case": HOSTILE, "reason": HOSTILE}],
    )
    text = page_of(path)
    page = _Page(text)
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert not any(tag == "img" for tag, _ in page.tags)
    assert not any(name.startswith("on") for _, found in page.tags for name in found)
    assert "49" not in text[text.index("Where these numbers") :].replace("'{{7*7}}", "")
    markdown = as_markdown(*gathered([path]))
    assert "<script" not in markdown


def test_a_picture_that_is_none_is_left_out(written: Callable[..., Path]) -> None:
    record = detection("int8_static", 0.69)
    record["examples"][0]["picture"] = base64.b64encode(b"<svg onload=alert(1)>").decode()
    other = detection("int8_static", 0.69)
    other["examples"][0]["picture"] = "javascript:alert(1)"
    for made in (record, other):
        text = page_of(written([detection("float32", 0.7), made]))
        assert "data:image" not in text
        assert "javascript" not in text


def test_examples_show_both_models_side_by_side(written: Callable[..., Path]) -> None:
    page = _Page(page_of(written(both_studies())))
    pairs = [a for tag, a in page.tags if tag == "figure" and a.get("data-example")]
    assert {pair["data-example"] for pair in pairs} == {"scene-1", "verse-1"}
    boxes = [a["class"] for tag, a in page.tags if tag == "g" and a.get("class")]
    assert boxes.count("shared") == 2  # of the float model and of the quantized one
    assert boxes.count("float") == 1  # shown by the float model alone


def test_examples_of_a_task_from_outside_are_drawn_by_what_they_hold(
    written: Callable[..., Path],
) -> None:
    records = [record | {"task": "from_outside"} for record in both_studies()]
    page = _Page(page_of(written(records)))
    pairs = [a for tag, a in page.tags if tag == "figure" and a.get("data-example")]
    assert {pair["data-example"] for pair in pairs} == {"scene-1", "verse-1"}


def named(scheme: str) -> dict[str, Any]:
    """A case whose changed pictures have answers instead of boxes, of whatever task."""
    record = detection(scheme, 0.69) | {"labels": {"n01": "tench"}}
    said = {"right": True, "words": [["tench", 0.75], ["goldfish", 0.2]]}
    (example,) = record["examples"] or [{}]
    record["examples"] = [
        {
            **example,
            "target": "tench",
            "unit": "of the probability moved",
            "float": said,
            "quantized": {"right": False, "words": [["goldfish", 0.6], ["tench", 0.3]]},
        }
    ]
    record["explanation"] = {
        "change_by_class": {
            "n01": {"n": 10, "right": 7, "were": 9},
            "n02": {"n": 10, "right": 8, "were": 8},
        },
        "flipped": [{"from": "n01", "to": "n02", "n": 2}],
    }
    return record


def test_a_picture_with_answers_shows_those_of_both_models(written: Callable[..., Path]) -> None:
    path = written([detection("float32", 0.7), named("int8_static")])
    text = page_of(path)
    page = _Page(text)
    (pair,) = [a for tag, a in page.tags if tag == "figure" and a.get("data-example")]
    assert pair == {"class": "passage named", "data-example": "scene-1"}
    (image,) = [a for tag, a in page.tags if tag == "img"]
    assert str(image["src"]).startswith("data:image/jpeg;base64,")
    assert "2.00 of the probability moved" in text
    assert ">float: right<" in text and ">quantized: wrong<" in text
    assert text.count("goldfish") == 2
    assert "Answers that changed most often" in text
    assert "<td>tench</td><td>n02</td>" in text
    assert 'data-figure="right_by_class"' in text


def test_a_picture_with_boxes_of_one_model_and_answers_of_the_other_is_not_drawn(
    written: Callable[..., Path],
) -> None:
    record = named("int8_static")
    record["examples"][0]["float"] = []
    assert "data-example" not in page_of(written([record]))


def test_what_a_record_says_by_class_cannot_leave_its_cell(written: Callable[..., Path]) -> None:
    record = named("int8_static")
    record["explanation"]["flipped"] = [{"from": HOSTILE, "to": HOSTILE, "n": 1}]
    record["explanation"]["change_by_class"] = {HOSTILE: {"n": 2, "right": 0, "were": 1}}
    record["examples"][0] |= {"target": HOSTILE, "unit": HOSTILE}
    record["examples"][0]["quantized"]["words"] = [[HOSTILE, 0.5]]
    assert HOSTILE not in page_of(written([detection("float32", 0.7), record]))


def test_every_gate_of_a_case_is_named_in_its_row(written: Callable[..., Path]) -> None:
    record = detection("int8_static", 0.69)
    record["verdicts"] += [verdict(f"AR_{i}", 0.1) for i in range(6)]
    moved = detection("float32", 0.7)
    moved["verdicts"].append(verdict("AP", -0.2, "fail", against="baseline"))
    rows = page_of(written([record, moved])).split("<tbody>")[1].split("</tr>")
    (row,) = (each for each in rows if 'data-scheme="int8_static"' in each)
    for i in range(4):
        assert f"AR_{i} pass, +0.100 [+0.090,\u00a0+0.110]" in row
    assert "and 2 more gates" in row
    (row,) = (each for each in rows if 'data-scheme="float32"' in each)
    assert "AP fail, -0.200" in row
    assert "the float model itself" in row


@pytest.mark.parametrize(
    "flips", [[1e30, 1], [10**400, 1], [1, -1e308], ["a", 1], [1], [1, 2, 3], 5, [None, 1]]
)
def test_flips_that_nobody_counted_are_one_error(
    written: Callable[..., Path], flips: object
) -> None:
    record = language("gptq_int8_g64", 0.59, (5, 4))
    record["verdicts"][0]["flips"] = flips
    with pytest.raises(RecordError, match="a record is malformed"):
        page_of(written([record]))


def test_a_case_that_was_looked_into_says_why(written: Callable[..., Path]) -> None:
    found = {
        "cause": "outlier <activation>",
        "ops": ["a", "b", "c", "d"],
        "place": 0,
        "text": "the values spread over 3.1 of 255 levels",
        "numbers": {},
        "remedy": "leave it in float",
        "weight": 9.0,
    }
    told = {"findings": [found], "profile": [], "flagged": [], "seconds": {}}
    records = [detection("float32", 0.7), detection("int8_static", 0.4, "fail")]
    html = page_of(written([*records[:1], records[1] | {"diagnosis": told}]))
    assert "outlier &lt;activation&gt;" in html
    assert "a, b, c and 1 more" in html
    assert "Why, worst first" not in page_of(written(records))


def test_a_case_whose_time_was_looked_into_says_where_it_goes(written: Callable[..., Path]) -> None:
    records = [detection("float32", 0.7), detection("int8_static", 0.69) | {"speed": slower()}]
    html = page_of(written(records))
    assert "one &lt;inference&gt;: 6.50 ms, 1.30 times slower than digits_centernet" in html
    assert "1 SWISH &lt;runs&gt; outside" in html
    assert "+3.00" in html
    assert "in no op" in html
    assert "kind of op" not in page_of(written(records[:1]))


@pytest.mark.parametrize("spoilt", ["ms", "kind", "findings", "sum"])
def test_a_malformed_speed_diagnosis_is_one_error(
    spoilt: str, written: Callable[..., Path]
) -> None:
    told = slower()
    (inference,) = told["inferences"]
    if spoilt == "ms":
        inference["quantized"]["ms"] = 0
    elif spoilt == "kind":
        inference["kinds"][0]["kind"] = 7
    elif spoilt == "sum":
        sides = {side: {"ops": 1, "ms": 1e308} for side in ("float", "quantized")}
        inference["kinds"] = [{"kind": str(i), "converts": False, **sides} for i in range(20)]
    else:
        inference["findings"] = [{"text": None}]
    with pytest.raises(RecordError, match="a record is malformed"):
        page_of(written([detection("int8_static", 0.69) | {"speed": told}]))


@pytest.mark.slow
def test_a_hundred_thousand_records_are_a_page(written: Callable[..., Path]) -> None:
    record = detection("float32", 0.7)
    record["metrics"] = {"AP": record["metrics"]["AP"]}
    record["examples"] = []
    many = [record | {"case": f"case-{i}", "model": f"m{i % 500}"} for i in range(100_000)]
    text = page_of(written(many))
    assert len(text) < 3_000_000
    assert "Left out for the page&#39;s size: 99000 cases" in text
    assert "Of 100000 cases" in text


def test_the_page_keeps_its_size_and_leaves_out_the_least_bad(
    written: Callable[..., Path],
) -> None:
    """Long messages, long texts, thousands of skipped cases: and the failing case stands."""
    records = []
    for i in range(120):
        record = detection("int8_static", 0.69) | {"case": f"case-{i}", "scheme": f"s{i}"}
        record["runner"] = {f"fact{j}": "x" * 200 for j in range(200)}
        record["examples"] = []
        records.append(record)
    records[77]["verdicts"][0] |= {"outcome": "fail", "low": -0.11, "high": -0.09}
    records[5]["error"] = {"stage": "call", "type": "BuildError", "message": "m" * 10**6}
    skipped = [{"case": f"c{i}", "reason": f"reason {i % 999}"} for i in range(40_000)]
    text = page_of(written(records, skipped=skipped))
    assert len(text) < 3_000_000
    assert "full numbers of " in text
    page = _Page(text)
    told = {a["id"] for tag, a in page.tags if tag == "details" and a.get("id")}
    links = {(a["href"] or "")[1:] for tag, a in page.tags if tag == "a"}
    assert links == told
    assert 0 < len(told) < 120
    failing = text[text.index('data-verdict="fail"') :][:600]
    assert "<a href" in failing


def test_markdown_cells_stay_cells_and_load_nothing() -> None:
    said = escaped("a\n\n# owned ![x](http://e/?q) | b <img> `")
    assert "\n" not in said
    assert "](" not in said
    assert "<" not in said
    assert "\\|" in said


def test_csv_cells_stay_on_their_line() -> None:
    assert inert("a\r=HYPERLINK(1)") == "a =HYPERLINK(1)"
    assert inert(" =1+1") == "'=1+1"
    assert inert(-0.5) == -0.5


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.9997, "1 s"), (1234, "1,234 s"), (0.00134, "1.34 ms"), (0.1234, "123 ms"), (None, "-")],
)
def test_times_have_three_digits_and_no_exponent(seconds: float | None, said: str) -> None:
    assert milliseconds(seconds) == said


def test_csv_holds_every_metric_and_no_formula(written: Callable[..., Path]) -> None:
    records = both_studies()
    records[1]["scheme"] = "=cmd|' /C calc'!A0"
    views, runs = gathered([written(records)])
    rows = list(csv.DictReader(io.StringIO(as_csv(views, runs))))
    assert len(rows) == sum(len(record["metrics"]) for record in records)
    (judged,) = (r for r in rows if r["metric"] == "AP" and r["scheme"].startswith("'="))
    assert float(judged["difference"]) == pytest.approx(-0.01)
    lost = [r["lost"] for r in rows if r["metric"] == "accuracy"]
    assert sorted(lost) == ["0", "5", "60"]


def test_json_and_markdown_say_the_same(written: Callable[..., Path]) -> None:
    views, runs = gathered([written(both_studies())])
    whole = json.loads(as_json(views, runs))
    markdown = as_markdown(views, runs)
    assert whole["outcome"] in markdown
    assert {row["case"] for row in whole["cases"]} == {view.case for view in views}
    assert markdown.index("smollm2_135m_instruct on kjv") < markdown.index("digits_centernet on")
    assert "| gptq_int2_g64 | fail, declared |" in markdown
    assert "Skipped 1: coco was not given" in markdown


def test_a_broken_case_keeps_its_row(written: Callable[..., Path]) -> None:
    broken: dict[str, Any] = language("reference", 0.6, (0, 0)) | {
        "metrics": {},
        "verdicts": [],
        "error": {"stage": "setup", "type": "FetchError", "message": "no connection\n  next: wait"},
    }
    text = page_of(written([broken]))
    assert "FetchError" in text
    assert "no connection" in text
