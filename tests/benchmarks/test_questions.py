"""The published studies' questions, answered from views whose answers are known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.published.figures import VAL2017, VAL2017_1500
from benchmarks.published.questions import correlated, doubled, iou_right, remaining
from quantbench.report.speed import Inference, Speed
from quantbench.report.views import Box, Number, View

MODEL = "centernet_resnet50v2"
FLOAT = f"{MODEL}-float32-{VAL2017.name}"


def view(scheme: str, ap: float | None = None, ms: float = 10.0, **more: object) -> View:
    """A case whose rounds lie within 1 % of their median."""
    box = Box(*(ms / 1e3 * part for part in (0.98, 0.99, 1.0, 1.01, 1.02)))
    metrics = {} if ap is None else {"AP": number(ap)}
    described = {
        "case": f"{MODEL}-{scheme}-{VAL2017.name}",
        "model": MODEL,
        "scheme": scheme,
        "task": "detection",
        "dataset": VAL2017.name,
        "device": "cpu",
        "verdict": "not judged",
        "reference": FLOAT,
        "latency_s": ms / 1e3,
        "box": box,
        "metrics": metrics,
        "n": 5000,
    }
    return View(**{**described, **more})  # type: ignore[arg-type]


def number(value: float) -> Number:
    return Number(value, value - 0.01, value + 0.01, 0.95, "bootstrap")


@pytest.mark.parametrize(
    ("ms", "says"),
    [(21.0, "it does:"), (19.0, "it does not:"), (20.0, "undecided by the quartiles")],
)
def test_whether_dynamic_int8_doubles_the_time_is_told_by_the_rounds(ms: float, says: str) -> None:
    first, why = doubled([view("float32"), view("int8_dynamic", ms=ms)])
    assert f"{MODEL}: {says}" in first
    assert (
        why == f"Why was not asked: run `quantbench diagnose --speed {MODEL}-int8_dynamic-val2017`."
    )


def test_the_reason_is_the_diagnosis_own() -> None:
    inference = Inference(
        "one inference", "float32", 10, 21, ("CONV_2D runs hybrid",), (), "by ops"
    )
    slow = view("int8_dynamic", ms=21.0, speed=Speed((inference,)))
    assert list(doubled([view("float32"), slow]))[1:] == ["Why: CONV_2D runs hybrid"]


def test_times_of_random_weights_are_told_as_such() -> None:
    told = [
        replace(each, random_weights="random:x") for each in (view("float32"), view("int8_dynamic"))
    ]
    assert "(random weights): it does not" in next(iter(doubled(told)))


def test_what_remains_at_each_threshold_and_area() -> None:
    was = {
        "AP50": number(0.5),
        "AP95": number(0.2),
        "AP_small": number(0.1),
        "AP_large": number(0.0),
    }
    now = {
        "AP50": number(0.4),
        "AP95": number(0.05),
        "AP_small": number(0.1),
        "AP_large": number(0.0),
    }
    views = [view("float32", metrics=was), view("int8_static", metrics=now)]
    (said,) = remaining(views)
    assert said == (f"{MODEL} int8_static: AP50 80%, AP95 25%, AP_small 100% of the float model's.")


def test_a_correlation_has_fishers_interval() -> None:
    ms, aps = [10.0, 12.0, 15.0, 9.0, 20.0], [0.29, 0.27, 0.30, 0.10, 0.28]
    views = [view(f"s{i}", ap, each) for i, (ap, each) in enumerate(zip(aps, ms, strict=True))]
    (said,) = correlated(views)
    r = float(np.corrcoef([1 / each for each in ms], aps)[0, 1])
    reach = 1.959964 / math.sqrt(len(ms) - 3)
    low, high = math.tanh(math.atanh(r) - reach), math.tanh(math.atanh(r) + reach)
    assert f"r = {r:+.2f} [{low:+.2f}, {high:+.2f}]" in said
    assert said.endswith("5 cases: not told from none.")


def test_a_correlation_that_is_there_is_told() -> None:
    views = [view(f"s{i}", 0.3 - 0.01 * i + 0.0005 * (i % 2), 20.0 - i) for i in range(8)]
    (said,) = correlated(views)
    assert said.endswith("8 cases: told from none.")
    assert said.startswith(f"{MODEL}: r = -0.99")


def test_three_cases_have_no_interval() -> None:
    views = [view(f"s{i}", 0.3 - 0.1 * i, 10.0 + i) for i in range(3)]
    (said,) = correlated(views)
    assert said == f"{MODEL}: 3 cases, and an interval needs 4: nothing can be said."


@pytest.mark.parametrize(
    ("ap", "n", "says"),
    [
        (0.297, 5000, "it is here"),
        (0.340, 5000, "it is not, or the model is fed wrongly"),
        (0.297, 400, "not told by a part of the images"),
    ],
)
def test_the_iou_is_right_where_the_authors_score_is_reproduced(
    ap: float, n: int, says: str
) -> None:
    (said,) = iou_right([view("float32", ap, n=n), view("int8_static", ap, n=n)])
    assert said.startswith(f"{MODEL}: {says}: AP {ap:.3f} on {n:,} images, 0.295 by")


def test_what_was_not_run_is_not_answered() -> None:
    part = view("float32", 0.3, dataset=VAL2017_1500.name)
    for question in (remaining, correlated, iou_right):
        (said,) = question([part])
        assert said.startswith("Not answered: ")
    assert next(iter(doubled([part]))).startswith("Not answered: ")
