"""Where the time of a run went."""

from __future__ import annotations

from quantbench.report.timings import as_timings
from tests.report.conftest import detection


def test_the_longest_case_comes_first_and_what_the_store_had_costs_nothing() -> None:
    slow, quick = detection("float32", 0.7), detection("int8_static", 0.69)
    slow |= {
        "timings_s": {"build": 30.0, "predict": 5.0, "summarise": 1.0},
        "cache": {"artifact": "built", "evidence": "computed"},
    }
    quick |= {
        "timings_s": {"build": 60.0, "predict": 5.0, "summarise": 2.0},
        "cache": {"artifact": "hit", "evidence": "hit"},
    }
    lines = [line.split() for line in as_timings([{"records": [quick, slow]}]).splitlines()]
    assert lines == [
        ["case", "build", "predict", "summarise", "timing", "sum"],
        ["digits_centernet-float32-digit_scenes", "30.0", "5.0", "1.0", "0.0", "36.0"],
        ["digits_centernet-int8_static-digit_scenes", "stored", "stored", "2.0", "0.0", "2.0"],
        ["all", "30.0", "5.0", "3.0", "0.0", "38.0"],
    ]


def test_fields_of_another_kind_count_nothing() -> None:
    record = detection("float32", 0.7) | {"timings_s": "x", "cache": None, "latency": [1]}
    assert as_timings([{"records": [record]}]).splitlines()[-1].split()[-1] == "0.0"
