"""Cases of several runtimes: grouped, the runtime's own difference marked, the fastest of each."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from quantbench.report.checking import views_of
from quantbench.report.drawing import looks
from quantbench.report.exports import as_csv, as_markdown
from quantbench.report.figures import drawn
from quantbench.report.numbers import milliseconds
from quantbench.report.outcome import outcome
from quantbench.report.page import as_html
from quantbench.report.reports import gathered
from quantbench.report.runtimes import FASTEST, by_runtime, fastest, fastest_header
from quantbench.report.terminal import coloured, summary
from quantbench.report.views import Study, View, studies_of
from tests.report.conftest import detection, language, latency

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LITERT, ORT, OV = ("litert", "LiteRT"), ("onnxruntime", "ONNX Runtime"), ("openvino", "OpenVINO")


def record(
    scheme: str,
    of: tuple[str, str],
    ap: float,
    ms: float | None,
    outcome: str = "pass",
    **more: Any,
) -> dict[str, Any]:
    """A detector's case under a runtime."""
    floats = scheme.endswith("float32")
    made = detection("float32" if floats else "int8_static", ap, outcome)
    made["runner"] |= {"kernel": of[1]}
    return made | {
        "case": f"digits_centernet-{scheme}-digit_scenes",
        "scheme": scheme,
        "backend": of[0],
        "bits": 32 if floats else 8,
        "latency": latency(ms) if ms else None,
        **more,
    }


def three_runtimes() -> list[dict[str, Any]]:
    return [
        record("float32", LITERT, 0.7, 40.0),
        record("int8_static", LITERT, 0.69, 16.0),
        record("ort_float32", ORT, 0.699, 30.0),
        record("ort_int8_static", ORT, 0.5, 5.0, "fail"),
        record("ort_int8_dynamic", ORT, 0.69, 20.0),
        record("ov_float32", OV, 0.701, 24.0),
        record("ov_int8_static", OV, 0.65, 12.0, "inconclusive"),
        record("ov_int8_weight", OV, 0.7, None),
    ]


def study_of(records: list[dict[str, Any]]) -> Study:
    (study,) = studies_of(views_of({"records": records}, "x"))
    return study


def by_scheme(records: list[dict[str, Any]]) -> dict[str, View]:
    return {view.scheme: view for view in study_of(records).cases}


def test_a_summary_groups_cases_by_runtime_worst_first() -> None:
    lines = list(summary(three_runtimes()))
    table = lines[2 : 2 + 8 + 3]
    assert [line.split("  ")[1] for line in table if re.match(r"  \S", line)] == [
        "ONNX Runtime",
        "OpenVINO",
        "LiteRT",
    ]
    assert [line.split()[0] for line in table if line.startswith("    ")] == [
        *("ort_int8_static", "ort_int8_dynamic", "ort_float32"),
        *("ov_int8_static", "ov_int8_weight", "ov_float32"),
        *("int8_static", "float32"),
    ]
    start = lines[1].index("AP")
    numbers = [line[start:] for line in table if line.startswith("    ")]
    assert all(re.match(r"0\.\d{3} \[", line) for line in numbers)
    assert max(map(len, lines)) <= 100


def test_a_runtimes_own_difference_is_said_to_be_its_own() -> None:
    lines = list(summary(three_runtimes()))
    said = [
        line.split(":")[0].strip() for line in lines if "its difference is the runtime's" in line
    ]
    assert sorted(said) == ["ort_float32", "ov_float32"]
    assert "  ort_float32: float of ONNX Runtime; its difference is the runtime's own" in "\n".join(
        lines
    )


def test_one_runtime_has_no_groups() -> None:
    records = three_runtimes()[:2]
    bare = [{name: each[name] for name in each if name != "backend"} for each in records]
    assert list(summary(records)) == list(summary(bare))
    text = "\n".join(summary(records))
    assert "LiteRT" not in text
    assert FASTEST not in text


def test_colours_change_no_line_of_groups() -> None:
    file = io.StringIO()
    coloured(three_runtimes(), {}, Console(file=file, width=100))
    assert file.getvalue().splitlines() == list(summary(three_runtimes()))
    file = io.StringIO()
    coloured(three_runtimes(), {}, Console(file=file, width=100, force_terminal=True))
    assert "ort_int8_static   \x1b[1;31mfail\x1b[0m" in file.getvalue()


def test_the_fastest_that_passes_is_against_its_own_runtimes_float() -> None:
    found = [each.cells for each in fastest(study_of(three_runtimes()))]
    size = f"x{306_496 / 684_140:.2f}"
    assert found == [
        ("LiteRT", "int8_static", "pass", "16 ms", "x2.50", size),
        ("ONNX Runtime", "ort_int8_dynamic", "pass", "20 ms", "x1.50", size),
        ("OpenVINO", "ov_float32", "pass", "24 ms", "x1.00", "x1.00"),
    ]


def test_a_runtime_of_which_nothing_passed_says_none() -> None:
    records = three_runtimes()
    records[5]["verdicts"][0]["outcome"] = "fail"
    (*_, last) = fastest(study_of(records))
    assert last.cells == ("OpenVINO", "none", "-", "-", "-", "-")


def test_without_its_runtimes_float_time_a_case_has_no_speed_up() -> None:
    records = three_runtimes()
    records[2]["latency"] = None
    cells = {each.runtime: each.cells for each in fastest(study_of(records))}
    assert cells["ONNX Runtime"][3:5] == ("20 ms", "-")
    assert not fastest(study_of([each | {"latency": None} for each in records]))


def test_times_of_another_run_make_no_speed_up(written: Callable[..., Path]) -> None:
    """Two files of which no case is in both are one study, but not one run."""
    records = three_runtimes()
    here, there = written(records[:4], "here.json"), written(records[4:], "there.json")
    views, _ = gathered([here, there])
    found = {view.scheme: view.speed_up for view in views}
    assert found["int8_static"] == pytest.approx(2.5)
    assert found["ort_int8_dynamic"] is None  # its float case was timed in the other run


def test_a_runtime_is_named_by_its_kernel_only_where_that_is_its_name() -> None:
    records = three_runtimes()
    records[3] |= {"runner": None, "metrics": {}, "verdicts": [], "latency": None}
    records[3]["error"] = {"stage": "setup", "type": "BuildError", "message": "no"}
    records[5]["runner"]["kernel"] = "210 x Linear"
    records[6]["runner"] = records[7]["runner"] = None
    named = by_scheme(records)
    assert named["ort_int8_static"].runtime == "ONNX Runtime"
    assert {named[name].runtime for name in named if name.startswith("ov")} == {"openvino"}


def test_the_float_case_of_a_runtime_has_the_bits_of_the_reference() -> None:
    reference = language("reference", 0.6, (0, 0)) | {"backend": "transformers"}
    reference["runner"]["dtype"] = "bfloat16"
    records = [reference]
    for scheme, bits in (("gguf_bf16", 16), ("gguf_q8_0", 8)):
        other = language("gptq_int8_g64", 0.6, (1, 1))
        records.append(
            other | {"case": scheme, "scheme": scheme, "bits": bits, "backend": "llamacpp"}
        )
    assert {name: view.runtime_float for name, view in by_scheme(records).items()} == {
        "reference": False,
        "gguf_bf16": True,
        "gguf_q8_0": False,
    }


def test_nothing_is_a_runtimes_own_where_no_reference_ran() -> None:
    assert not any(view.runtime_float for view in by_scheme(three_runtimes()[1:]).values())


def test_a_float_case_that_fails_is_named_as_its_runtimes() -> None:
    records = three_runtimes()
    records[2]["verdicts"][0]["outcome"] = "fail"
    said = outcome(views_of({"records": records}, "x"))
    assert "digits_centernet-ort_float32-digit_scenes (float of ONNX Runtime)" in said


def test_the_shape_in_a_figure_is_the_runtimes() -> None:
    study = study_of(three_runtimes())
    (figure,) = (each for each in drawn(study) if each.name == "quality_latency")
    shapes, schemes = sorted(
        ([text.get_text() for text in found.get_texts()] for found in figure.figure.legends),
        key=len,
    )
    assert shapes == ["LiteRT", "ONNX Runtime", "OpenVINO"]
    assert len(schemes) == 7  # all that were timed
    markers: dict[str, set[str]] = {}
    for view in study.cases:
        markers.setdefault(view.runtime, set()).add(looks(study.cases)[view.scheme]["marker"])
    assert [len(found) for found in markers.values()] == [1, 1, 1]
    assert len(set.union(*markers.values())) == 3
    (differences,) = (each for each in drawn(study) if each.name == "differences")
    assert "ort_float32 of ONNX Runtime, ov_float32 of OpenVINO" in differences.caption


def test_many_cases_of_one_runtime_look_unlike() -> None:
    records = [record(f"int8_{i}", LITERT, 0.69, 16.0) for i in range(25)]
    styles = looks(study_of([*three_runtimes(), *records]).cases)
    assert len({tuple(style.values()) for style in styles.values()}) == 33


def test_a_page_groups_marks_and_filters_by_runtime(written: Callable[..., Path]) -> None:
    views, runs = gathered([written(three_runtimes())])
    text = as_html(views, runs)
    rows = re.findall(r'<tr data-model="[^"]*" data-scheme="([^"]*)" data-runtime="([^"]*)"', text)
    assert list(dict.fromkeys(runtime for _, runtime in rows)) == [
        *("ONNX Runtime", "OpenVINO", "LiteRT"),
    ]
    assert [scheme for scheme, _ in rows] == [view.scheme for view in by_runtime(views)]
    assert '<select data-column="runtime">' in text
    assert text.count("float of this runtime") == 2
    assert re.findall("<h4>(.*)</h4>", text) == ["LiteRT", "ONNX Runtime", "OpenVINO"]
    (table,) = re.findall('<table class="fastest">.*?</table>', text, re.DOTALL)
    assert re.findall("<td>([^<]*)</td>", table) == [
        "int8_static",
        "ort_int8_dynamic",
        "ov_float32",
    ]


def test_a_page_of_one_runtime_names_none(written: Callable[..., Path]) -> None:
    text = as_html(*gathered([written(three_runtimes()[:2])]))
    for word in ("data-runtime", ">runtime<", "<h4>", FASTEST, "float of this runtime"):
        assert word not in text


def test_other_studies_keep_their_place_beside_a_grouped_one() -> None:
    """Worst first, but for what stands together."""
    before = record("int8_static", LITERT, 0.1, 1.0, "fail") | {"model": "a", "case": "a"}
    after = record("int8_static", LITERT, 0.8, 1.0) | {"model": "z", "case": "z"}
    views = views_of({"records": [after, *three_runtimes(), before]}, "x")
    cases = [view.case for view in by_runtime(views)]
    assert (cases[0], cases[-1]) == ("a", "z")
    assert sorted(cases) == sorted(view.case for view in views)


def test_markdown_and_csv_name_the_runtime(written: Callable[..., Path]) -> None:
    views, runs = gathered([written(three_runtimes())])
    text = as_markdown(views, runs)
    assert "| runtime | scheme | verdict | AP |" in text
    assert f"| OpenVINO | ov_float32 | pass | {milliseconds(0.024)} | x1.00 | x1.00 |" in text
    assert "- ov_float32: float of OpenVINO" in text
    assert "openvino" in as_csv(views, runs)


def generating(scheme: str, of: tuple[str, str], tokens: float | None, ms: float) -> dict[str, Any]:
    """A language model's case under a runtime, timed while it generates."""
    floats = scheme in {"reference", "gguf_bf16"}
    made = language("reference" if floats else "gptq_int8_g64", 0.6, (0, 0))
    metrics = {
        name: metric for name, metric in made["metrics"].items() if name != "decode_tokens_per_s"
    }
    if tokens:
        rate = {"value": tokens, "low": tokens, "high": tokens}
        metrics["decode_tokens_per_s"] = made["metrics"]["decode_tokens_per_s"] | rate
    return made | {
        "case": f"smollm2_135m_instruct-{scheme}-kjv",
        "scheme": scheme,
        "backend": of[0],
        "bits": 16 if floats else 8,
        "metrics": metrics,
        "latency": latency(ms),
        "runner": made["runner"] | {"kernel": of[1]} | ({"dtype": "bfloat16"} if floats else {}),
        "reference": "smollm2_135m_instruct-reference-kjv",
    }


TORCH, LLAMA = ("transformers", "2 x Linear"), ("llamacpp", "llama.cpp")


def test_runtimes_of_language_models_are_ranked_by_what_they_generate() -> None:
    """Not by the latency of a prompt, in which the order is another here."""
    records = [
        generating("reference", TORCH, 19.0, 100.0),
        generating("gptq_int8_g64", TORCH, 4.0, 500.0),
        generating("gguf_bf16", LLAMA, 50.0, 200.0),
        generating("gguf_q8_0", LLAMA, 80.0, 150.0),
    ]
    study = study_of(records)
    assert [each.cells[:5] for each in fastest(study)] == [
        ("llama.cpp", "gguf_q8_0", "pass", "80", "x1.60"),
        ("transformers", "reference", "pass", "19", "x1.00"),
    ]
    assert fastest_header(study)[3] == "tokens/s"
    lines = list(summary(records))
    (head,) = [line for line in lines if line.startswith("  scheme")]
    assert head.split()[-2:] == ["latency", "tokens/s"]
    (row,) = [line for line in lines if "gptq_int8_g64" in line]
    assert row.split()[-1] == "4"


def test_speed_up_goes_by_latency_where_generation_was_not_timed() -> None:
    views = by_scheme([
        generating("reference", TORCH, 19.0, 100.0),
        generating("gptq_int8_g64", TORCH, None, 50.0),
    ])  # fmt: skip
    assert views["gptq_int8_g64"].speed_up == 2


def test_tokens_a_second_stand_on_the_page_and_in_markdown(written: Callable[..., Path]) -> None:
    records = [
        generating("reference", TORCH, 19.0, 100.0),
        generating("gguf_q8_0", LLAMA, 80.0, 150.0),
    ]
    views, runs = gathered([written(records)])
    page = as_html(views, runs)
    assert re.search(r"<th[^>]*>(<button[^>]*>)?tokens/s", page)
    assert '<td class="number">80</td>' in page
    assert "| tokens/s |" in as_markdown(views, runs)
    without, runs = gathered([written([record("float32", LITERT, 0.7, 40.0)], "other.json")])
    assert "tokens/s" not in as_markdown(without, runs)
    assert not re.search(r"<th[^>]*>(<button[^>]*>)?tokens/s", as_html(without, runs))
