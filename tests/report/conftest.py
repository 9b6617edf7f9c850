"""Record files as a run of both studies writes them, small and made up."""

from __future__ import annotations

import base64
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from quantbench import cases
from quantbench.record.schema import document, empty_record

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DETECTION = {case.scheme.name: case for case in cases("digits_centernet")}
LANGUAGE = {case.scheme.name: case for case in cases("smollm2_135m_instruct", datasets=["kjv"])}


def jpeg() -> str:
    file = io.BytesIO()
    Image.new("RGB", (16, 12), "gray").save(file, "JPEG")
    return base64.b64encode(file.getvalue()).decode()


def number(value: float, spread: float = 0.02) -> dict[str, Any]:
    return {
        "value": value,
        "low": value - spread,
        "high": value + spread,
        "confidence": 0.95,
        "n": 100,
        "method": "made up",
    }


def verdict(metric: str, difference: float, outcome: str = "pass", **more: Any) -> dict[str, Any]:
    return {
        "metric": metric,
        "margin": 0.05,
        "relative": False,
        "lower_is_better": False,
        "confidence": 0.95,
        "outcome": outcome,
        "difference": difference,
        "low": difference - 0.01,
        "high": difference + 0.01,
        "method": "made up",
        "n": 100,
        "flips": None,
        "samples_to_decide": None,
        "against": "reference",
        "expected": "pass",
        "reason": "",
        **more,
    }


def latency(milliseconds: float) -> dict[str, Any]:
    shares = {"min_ns": 0.8, "q1_ns": 0.9, "median_ns": 1.0, "q3_ns": 1.2, "max_ns": 2.0}
    times = {name: round(share * milliseconds * 1e6) for name, share in shares.items()}
    return {**times, "iqr_ns": 1, "rounds": 9, "threads": 2, "delegate": "XNNPACK"}


def detection(scheme: str, ap: float, outcome: str = "pass") -> dict[str, Any]:
    names = [f"AP{iou}" for iou in range(50, 100, 5)]
    names += [f"{kind}_{area}" for kind in ("AP", "AR") for area in ("small", "medium", "large")]
    names += [f"AP_category_{i}" for i in range(1, 11)]
    values = {"AP": ap, **{name: ap * (1 - i / 99) for i, name in enumerate(names)}}
    values["precision_iou0.01_score0.5"] = 0.9
    size = {"float32": 684_140, "int8_static": 306_496}[scheme]
    box = [2.0, 3.0, 5.0, 4.0, 0.8]
    example = {"id": "scene-1", "change": 2, "width": 160, "height": 120, "picture": jpeg()}
    return empty_record(DETECTION[scheme]) | {
        "metrics": {name: number(value) for name, value in values.items()},
        "verdicts": [verdict("AP", ap - 0.7, outcome)],
        "latency": latency(2.0 if scheme == "float32" else 1.0),
        "memory": {"weights_bytes": size, "peak_rss_bytes": 10**9, "peak_device_bytes": None},
        "runner": {"delegate": "XNNPACK", "threads": 2, "weights_bytes": size},
        "evidence": {"keys": ["00"], "sha256": "ab" * 32, "protocol": "cd" * 32},
        "examples": []
        if scheme == "float32"
        else [{**example, "float": [[*box, 1], [*box, 2]], "quantized": [[*box, 1]]}],
    }


def language(scheme: str, accuracy: float, flips: tuple[int, int], **more: Any) -> dict[str, Any]:
    size = {"reference": 269e6, "gptq_int8_g64": 168e6, "gptq_int2_g64": 88e6}[scheme]
    said = {"right": True, "words": [[" home", 0.5], [" house", 0.2]]}
    judged = verdict("accuracy", accuracy - 0.6, flips=list(flips), **more)
    values = {"accuracy": accuracy, "top1": accuracy, "top5": min(1.0, accuracy + 0.2)}
    values |= {"decode_tokens_per_s": 20.0 + accuracy, "prefill_tokens_per_s": 300.0}
    values["evaluation_tokens_per_s"] = 900.0
    return empty_record(LANGUAGE[scheme]) | {
        "metrics": {name: number(value) for name, value in values.items()},
        "verdicts": [judged],
        "latency": latency(70.0),
        "memory": {"weights_bytes": size, "peak_rss_bytes": 10**9, "peak_device_bytes": None},
        "runner": {"memory_footprint_bytes": size * 1.02, "weights_bytes": size, "threads": 2},
        "examples": []
        if scheme == "reference"
        else [
            {
                "id": "verse-1",
                "change": -3.2,
                "context": "and they went",
                "target": "home",
                "float": said,
                "quantized": {**said, "right": False},
            }
        ],
    }


def slower() -> dict[str, Any]:
    """A speed diagnosis: one kind lost 3 ms, one gained 2, 1 ms lies in no op."""

    def side(ms: float, *ops: tuple[str, float]) -> dict[str, Any]:
        timed = [
            {"place": i, "kind": kind, "name": kind, "ms": taken, "kernel": "XNNPACK"}
            for i, (kind, taken) in enumerate(ops)
        ]
        return {"ms": ms, "covered": sum(taken for _, taken in ops) / ms, "ops": timed}

    def kind(name: str, before: float, after: float) -> dict[str, Any]:
        sides = {"float": {"ops": 1, "ms": before}, "quantized": {"ops": 1, "ms": after}}
        return {"kind": name, "converts": False, **sides}

    return {
        "beside": "digits_centernet-float32-digit_scenes",
        "inferences": [
            {
                "what": "one <inference>",
                "method": "invented",
                "threads": 2,
                "float": side(5.0, ("CONV", 4.0), ("SWISH", 0.5)),
                "quantized": side(6.5, ("CONV", 2.0), ("SWISH", 3.5)),
                "kinds": [kind("SWISH", 0.5, 3.5), kind("CONV", 4.0, 2.0)],
                "findings": [{"cause": "outside", "ms": 3.0, "text": "1 SWISH <runs> outside"}],
            }
        ],
    }


def both_studies() -> list[dict[str, Any]]:
    collapsed = language("gptq_int2_g64", 0.0, (60, 0), outcome="fail", expected="fail")
    return [
        detection("float32", 0.7),
        detection("int8_static", 0.69),
        language("reference", 0.6, (0, 0)),
        language("gptq_int8_g64", 0.59, (5, 4)),
        collapsed | {"expected": "fail"},
    ]


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Writes records as a file of --benchmark-json."""

    def write(records: list[dict[str, Any]], name: str = "out.json", **more: Any) -> Path:
        environment = {"python": "3.11", "command": "pytest x", "packages": {"torch": "2.13"}}
        part = document(records, {"a-b-c": "coco was not given"}, environment) | more
        path = tmp_path / name
        path.write_text(json.dumps({"benchmarks": [], "quantbench": part}))
        return path

    return write
