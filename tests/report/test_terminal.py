"""The table: aligned, narrow, worst first, and honest about what is missing."""

from __future__ import annotations

import io
import json
from typing import Any

from rich.console import Console

from quantbench import cases
from quantbench.record.schema import empty_record
from quantbench.report.terminal import (
    coloured,
    diagnosis_block,
    recipe_block,
    summary,
    verdict_block,
)

CASES = cases("smollm2_135m_instruct", datasets=["kjv"])


def judged(index: int, outcome: str, **known: Any) -> dict[str, Any]:
    metric = {"value": 0.5, "low": 0.4, "high": 0.6, "confidence": 0.95, "n": 500, "method": "m"}
    verdict = {
        "metric": "accuracy",
        "margin": 0.02,
        "confidence": 0.95,
        "outcome": outcome,
        "difference": -0.01,
        "low": -0.02,
        "high": 0.0,
        "method": "m",
        "expected": "pass",
        "against": "reference",
        "flips": [123, 45],
        "relative": False,
    }
    record = empty_record(CASES[index]) | {"metrics": {"accuracy": metric}, "verdicts": [verdict]}
    record["memory"] = {"weights_bytes": 168_400_000, "peak_rss_bytes": None}
    return record | known


def test_the_worst_comes_first_within_a_hundred_columns() -> None:
    error = {"stage": "setup", "type": "BuildError", "message": "no kernel\n  where: here"}
    records = [judged(0, "pass"), judged(1, "fail"), judged(2, "inconclusive")]
    lines = list(summary([*records, empty_record(CASES[3]) | {"error": error}]))
    schemes = [line.split()[0] for line in lines if line.startswith("  gptq") and ":" not in line]
    assert schemes == ["gptq_int2_g64", "gptq_int8_g64", "gptq_int4_g64"]
    assert max(map(len, lines)) <= 100
    assert any("BuildError: no kernel" in line for line in lines)


def test_an_error_without_a_message_is_still_a_line() -> None:
    error = {"stage": "call", "type": "TimeoutError", "message": ""}
    lines = list(summary([empty_record(CASES[0]) | {"error": error}]))
    assert any("TimeoutError: (no message)" in line for line in lines)


def test_a_gpus_cases_stand_apart_with_their_energy() -> None:
    drawn = {"joules_per_sample": 4.16, "provenance": "measured"}
    on_gpu = judged(0, "pass", device="cuda", energy=drawn)
    tables = "\n".join(summary([judged(0, "pass"), on_gpu])).split("\n\n")
    here, there = sorted(tables[:2], key=lambda table: "on cuda" in table)
    assert "energy" not in here
    title, header, row, *_ = there.splitlines()
    assert title.startswith("smollm2_135m_instruct on kjv on cuda")
    assert header.endswith("energy")
    assert row.endswith("4.16 J")
    assert len(row) == len(header)


def test_columns_align() -> None:
    lines = list(summary([judged(0, "pass"), judged(1, "inconclusive")]))
    start = lines[1].index("accuracy")
    assert all(line[start:].startswith("0.500 [0.400") for line in lines[2:4])


def test_a_note_stands_with_the_numbers() -> None:
    assert any("rounded to 4 bits" in line for line in summary([judged(0, "pass")]))


def test_a_missing_latency_is_a_dash_and_says_how_to_time() -> None:
    lines = list(summary([judged(0, "pass")]))
    assert lines[2].endswith("-")
    assert "no latency was measured" in lines[-1]
    timed = judged(0, "pass", latency={"median_ns": 1_230_000})
    lines = list(summary([timed]))
    assert lines[2].endswith("1.23 ms")
    assert not any("no latency" in line for line in lines)


def test_the_study_with_the_worst_case_comes_first() -> None:
    fine = judged(0, "pass") | {"model": "a_model"}
    lines = list(summary([fine, judged(1, "fail")]))
    assert lines[0].startswith("smollm2_135m_instruct")


def test_on_eighty_columns_no_number_is_cut() -> None:
    file = io.StringIO()
    coloured([judged(0, "pass"), judged(1, "fail")], {}, Console(file=file, width=80))
    assert "0.500 [0.400, 0.600]" in file.getvalue()
    assert "…" not in file.getvalue()


def test_a_failure_by_another_gate_is_explained() -> None:
    record = judged(1, "pass")
    by = record["verdicts"][0] | {"metric": "latency", "outcome": "fail", "difference": 0.4}
    record["verdicts"].append(by | {"relative": True, "lower_is_better": True})
    lines = list(summary([record]))
    assert any("fail (latency)" in line for line in lines)
    assert any("latency fail, +40.0 [" in line for line in lines)


def test_colours_change_no_word() -> None:
    file = io.StringIO()
    records = [judged(0, "pass"), judged(1, "fail") | {"scheme": "[red]int8"}]
    coloured(records, {"x": "coco was not given"}, Console(file=file, width=100))
    text = file.getvalue()
    assert max(map(len, text.splitlines())) <= 100
    assert "[red]int8" in text
    for line in summary(records, {"x": "coco was not given"}):
        assert set(line.split()) <= set(text.split())
    file = io.StringIO()
    coloured(records, {}, Console(file=file, width=100, force_terminal=True))
    assert "\x1b[1;31mfail" in file.getvalue()


def test_recipes_of_both_kinds_are_told() -> None:
    ops = {
        "float_ops": {"a/b;stem": "alone 9 dB"},
        "repairs": [{"kind": "hard-swish", "op": "x", "text": "y"}] * 2,
        "notes": {"passed": True, "ops": 160, "found_by": "one op alone", "bytes": 2_670_000},
    }
    assert list(recipe_block(json.dumps(ops), (0.02, 0.01))) == [
        "1 of 160 ops in float, found by one op alone; on the calibration split it passes",
        "   stem: alone 9 dB",
        "   repaired: hard-swish, 2 ops",
        "2.67 MB; 10.0 ms against 20.0 in float, faster",
    ]
    bits = {
        "bits": {"one": 6, "two": 5, "three": 5},
        "default": 4,
        "notes": {"passed": False, "average_bits": 4.595, "found_by": "a scan"},
    }
    head, *lines = recipe_block(json.dumps(bits), (0.02, 0.04))
    assert head.startswith("4.59 bits a weight, found by a scan; on the calibration split")
    assert head.endswith("it does not pass: the closest that was found")
    assert lines == [
        "   2 layers at 5 bits",
        "   1 layers at 6 bits",
        "   all others at 4",
        "40.0 ms against 20.0 in float, slower",
    ]


def test_a_diagnosis_is_told_worst_first() -> None:
    found = {
        "cause": "clipped range",
        "ops": [f"block/{i}" for i in range(6)],
        "place": 7,
        "text": "CONV_2D: 3.0% of the values lie outside of its range",
        "remedy": "a wider range",
    }
    told = {"findings": [found], "seconds": {"scan": 0.25, "side by side": 12.0}}
    assert list(diagnosis_block(told)) == [
        "1. clipped range, 6 ops, first op 7",
        "   CONV_2D: 3.0% of the values lie outside of its range",
        "   at   block/0, block/1, block/2, block/3, ...",
        "   next a wider range",
        "looked for scan 0.2 s, side by side 12.0 s",
    ]
    assert next(diagnosis_block({"findings": [], "seconds": {}})).startswith("nothing stands out")


def test_every_gate_of_a_case_is_named_with_its_metric() -> None:
    record = judged(1, "pass")
    gate = record["verdicts"][0]
    record["verdicts"] += [gate | {"metric": name} for name in ("top5", "lost")]
    lines = list(summary([record]))
    for name in ("top5", "lost"):
        assert f"  gptq_int8_g64: {name} pass, -0.010 [-0.020, +0.000], margin 0.02" in lines


def test_a_declared_failure_of_one_metric_does_not_cover_another() -> None:
    record = judged(1, "fail", expected="fail")
    gate = record["verdicts"][0]
    record["verdicts"] = [gate | {"expected": "fail"}, gate | {"metric": "top5"}]
    assert "  gptq_int8_g64  fail  " in "\n".join(summary([record]))
    record["verdicts"][1]["outcome"] = "pass"
    assert "  gptq_int8_g64  fail, declared  " in "\n".join(summary([record]))


def test_a_run_that_could_time_says_which_test_it_lacks() -> None:
    assert "without -n" in list(summary([judged(0, "pass")]))[-1]
    (*_, said) = summary([judged(0, "pass")], alone=True)
    assert "a test that calls benchmark(quantized.predict, sample)" in said
    assert "-n" not in said


def test_a_float_model_that_moved_is_said_to_be_it() -> None:
    record = judged(0, "pass")
    moved = {"against": "baseline", "outcome": "fail", "metric": "top1"}
    record["verdicts"].append(record["verdicts"][0] | moved | {"lower_is_better": False, "n": 9})
    lines = list(summary([record]))
    assert any("reference is the float model itself: it is worse than" in line for line in lines)
    record["verdicts"][1] |= {"quantized": 0.4, "reference": 0.5, "samples_to_decide": None}
    record["verdicts"][0] |= {"quantized": 0.4, "reference": 0.5, "samples_to_decide": None}
    record["verdicts"][0] |= {"lower_is_better": False, "n": 9}
    block = verdict_block(record)
    assert "smollm2_135m_instruct-reference-kjv, the float model itself" in block
    assert block.count("it is worse than the float model that was accepted") == 1
