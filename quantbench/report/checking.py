"""Records read for people: every value is checked once, here, and plain afterwards.

A record file may come from anywhere. Whatever is drawn or printed is a number, a text or None when
it leaves this module; a value of another kind is an error that names its place.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from quantbench.core.jsons import MALFORMED
from quantbench.errors import RecordError
from quantbench.report.energies import Energies, beside
from quantbench.report.recovery import curve_of
from quantbench.report.runtimes import with_runtimes
from quantbench.report.speed import speed_of
from quantbench.report.values import number as _number
from quantbench.report.values import text as _text
from quantbench.report.values import whole as _whole
from quantbench.report.views import (
    OUTCOMES,
    SEVERITY,
    Box,
    Cause,
    Diagnosis,
    Judgement,
    Number,
    View,
    worst_first,
)
from quantbench.study.words import UNTRAINED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_BITS = {"float32": 32, "float16": 16, "bfloat16": 16}  # of a reference, by what it runs in


def views_of(document: Mapping[str, Any], where: str, run: str = "") -> list[View]:
    """The cases of a document (`record/reading.py`), worst first.

    Raises:
        RecordError: a value is of the wrong kind.
    """
    found = []
    for record in document["records"]:
        place = f"{where}, {str(record['case'])[:80]}"
        try:
            found.append(_view(record, run))
        except MALFORMED as error:
            raise RecordError(
                "a record is malformed", where=place, got=f"{type(error).__name__}: {error}"
            ) from error
    return sorted(with_runtimes(_with_ratios(found)), key=worst_first)


def _verdict(record: Mapping[str, Any], judgements: Sequence[Judgement]) -> str:
    """Of all a record's verdicts the worst, with the study's declaration."""
    if record["error"]:
        meant = record.get("expected") == "error" and record["error"].get("declared", True)
        return "error, declared" if meant else "error"
    if record.get("random_weights"):
        return UNTRAINED
    if not judgements:
        return "not judged"
    words = {judged.word for judged in judgements if judged.outcome in OUTCOMES}
    if not words:
        raise ValueError(f"no outcome that is known: {judgements[0].outcome[:40]}")
    return min(words, key=SEVERITY.index)


def _view(record: Mapping[str, Any], run: str) -> View:
    declared = {"expected": record.get("expected")}  # of records whose verdicts do not say it
    judgements = tuple(judgement_of(declared | verdict) for verdict in record["verdicts"])
    metrics = {_text(name): metric_of(metric) for name, metric in record["metrics"].items()}
    # Times and bytes have columns of their own.
    of_quality = (j for j in judgements if j.metric in metrics and j.against == "reference")
    judged = next(of_quality, None)
    unjudged = next((name for name in metrics if not name.endswith("_per_s")), None)
    memory = record["memory"] or {}
    runner = record["runner"] or {}
    latency, error = record["latency"] or {}, record["error"]
    median = _number(latency.get("median_ns"))
    artifact = record["artifact"] or {}
    return View(
        case=_text(record["case"]),
        model=_text(record["model"]),
        scheme=_text(record["scheme"]),
        task=_text(record["task"]),
        dataset=_text(record["dataset"]["name"]),
        device=_text(record.get("device") or "cpu"),
        backend=_text(record.get("backend") or ""),
        verdict=_verdict(record, judgements),
        run=run,
        n=_whole(record["dataset"].get("n")),
        of=_whole(record["dataset"].get("of")),
        groups=_whole(record["dataset"].get("groups")),
        duplicates=_whole(record["dataset"].get("duplicates")) or 0,
        bits=_bits(record, runner),
        reference=_text(record["reference"]) if record.get("reference") else None,
        headline=judged.metric if judged else unjudged,
        metrics=metrics,
        judgements=judgements,
        judged=judged,
        decided_by=_decided_by(judgements, judged),
        weights_bytes=_number(memory.get("weights_bytes")),
        artifact_bytes=_number(artifact.get("size_bytes")),
        footprint_bytes=_number(runner.get("memory_footprint_bytes")),
        peak_bytes=_number(memory.get("peak_device_bytes") or memory.get("peak_rss_bytes")),
        latency_s=None if median is None else median / 1e9,
        box=_box(latency),
        rounds=_whole(latency.get("rounds")),
        timed_by=f"{latency.get('threads')} threads, delegate {latency.get('delegate')}"
        if latency
        else "",
        energies=_energies(record.get("energy") or {}, record.get("carbon") or {}),
        expected=_text(record.get("expected") or "pass"),
        reason=next((_text(v["reason"]) for v in record["verdicts"] if v.get("reason")), ""),
        error=(_text(error["type"]), _text(error["message"])) if error else None,
        note=_text(record.get("note") or ""),
        random_weights=_text(record.get("random_weights") or ""),
        baseline=_text(record.get("baseline") or ""),
        facts=_facts(record, artifact, runner),
        labels={_text(key): _text(name) for key, name in (record.get("labels") or {}).items()},
        examples=tuple(map(_example, record.get("examples") or ())),
        **_explained(record.get("explanation") or {}),
        diagnosis=_diagnosis(record["diagnosis"]) if record.get("diagnosis") else None,
        speed=speed_of(record["speed"]) if record.get("speed") else None,
        learning=curve_of(record.get("build") or {}),
    )


def _energies(energy: Mapping[str, Any], carbon: Mapping[str, Any]) -> Energies:
    decoding, build, evaluation = (
        energy.get(name) or {} for name in ("decoding", "build", "evaluation")
    )
    grid = ""
    if (intensity := _number(carbon.get("kg_co2e_per_kwh"))) is not None:
        grid = f"{intensity:.3g} kg CO2e a kWh, {_text(carbon.get('source') or '')}"
    return Energies(
        joules=_number(energy.get("joules_per_sample")),
        low=_number(energy.get("low")),
        high=_number(energy.get("high")),
        provenance=_text(energy.get("provenance") or "unavailable"),
        by=_text(energy.get("by") or ""),
        reason=_text(energy.get("reason") or ""),
        idle_watts=_number(energy.get("idle_watts")),
        load_by_others=_number(energy.get("load_by_others")),
        per_prefill_token=_number(energy.get("joules_per_prefill_token")),
        per_decoded_token=_number(decoding.get("joules_per_token")),
        build_joules=_number(build.get("joules")),
        build_provenance=_text(build.get("provenance") or ""),
        evaluation_joules=_number(evaluation.get("joules")),
        evaluation_provenance=_text(evaluation.get("provenance") or ""),
        grams_per_million=_number(carbon.get("grams_co2e_per_million")),
        grid=grid,
    )


def _bits(record: Mapping[str, Any], runner: Mapping[str, Any]) -> int | None:
    """Of a weight; a reference has those of the type that it runs in."""
    runs_in = _BITS.get(str(runner.get("dtype"))) if record["scheme"] == "reference" else None
    return runs_in or _whole(record.get("bits"))


def _facts(
    record: Mapping[str, Any], artifact: Mapping[str, Any], runner: Mapping[str, Any]
) -> dict[str, str]:
    """What a number is traced by."""
    evidence = record["evidence"] or {}
    found = {
        "artifact sha256": artifact.get("sha256"),
        "evidence sha256": evidence.get("sha256"),
        "protocol sha256": evidence.get("protocol"),
        "data sha256": record["dataset"].get("sha256"),
        **runner,
        **{n: v for n, v in (record.get("build") or {}).items() if n != "learning_curve"},
        **{f"{name} s": value for name, value in (record.get("timings_s") or {}).items()},
        "random weights": record.get("random_weights"),
        **{name: value for name, value in (record.get("model_card") or {}).items() if value},
    }
    return {_text(str(n)): _text(_said(v)) for n, v in found.items() if v is not None}


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_said(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(_said, value))
    return str(value)


def _decided_by(judgements: Sequence[Judgement], shown: Judgement | None) -> Judgement | None:
    worst = min(
        (each for each in judgements if each.outcome in OUTCOMES),
        key=lambda each: OUTCOMES.index(each.outcome),
        default=None,
    )
    if worst is None or (shown is not None and worst.outcome == shown.outcome):
        return None
    return worst


def judgement_of(verdict: Mapping[str, Any]) -> Judgement:
    """A verdict of a record; raises what `views_of` explains."""
    margin, confidence = _number(verdict["margin"]), _number(verdict["confidence"])
    if margin is None or confidence is None:
        raise ValueError("a verdict without a margin or confidence")
    return Judgement(
        metric=_text(verdict["metric"]),
        outcome=_text(verdict["outcome"]),
        margin=margin,
        confidence=confidence,
        difference=_number(verdict.get("difference")),
        low=_number(verdict.get("low")),
        high=_number(verdict.get("high")),
        relative=bool(verdict.get("relative")),
        lower_is_better=bool(verdict.get("lower_is_better")),
        against=_text(verdict.get("against") or "reference"),
        method=_text(verdict.get("method") or ""),
        n=_whole(verdict.get("n")),
        flips=_flips(verdict.get("flips")),
        samples_to_decide=_whole(verdict.get("samples_to_decide")),
        expected=_text(verdict.get("expected") or "pass"),
    )


def _flips(pair: Any) -> tuple[int, int] | None:
    if not pair:
        return None
    lost, won = map(_whole, pair)
    if lost is None or won is None:
        raise ValueError("flips that are not two numbers")
    return lost, won


def metric_of(metric: Mapping[str, Any]) -> Number:
    """A metric of a record; raises what `views_of` explains."""
    return Number(
        value=_number(metric["value"]),
        low=_number(metric["low"]),
        high=_number(metric["high"]),
        confidence=_number(metric.get("confidence")) or 0.0,
        method=_text(metric.get("method") or ""),
    )


def _box(latency: Mapping[str, Any]) -> Box | None:
    names = ("min_ns", "q1_ns", "median_ns", "q3_ns", "max_ns")
    numbers = [_number(latency.get(name)) for name in names]
    known = [number / 1e9 for number in numbers if number is not None and number > 0]
    return Box(*known) if len(known) == len(numbers) else None


def _example(example: Mapping[str, Any]) -> dict[str, Any]:
    """A picture or a text, with boxes or words of both models, of whatever task.

    Others are not shown.
    """
    checked: dict[str, Any] = {
        "id": _text(example["id"]),
        "change": _number(example["change"]),
        "unit": _text(example.get("unit") or ""),
    }
    if "picture" in example:
        checked |= {
            "width": _side(example["width"]),
            "height": _side(example["height"]),
            "picture": _text(example["picture"]),
        }
    if "context" in example:
        checked |= {"context": _text(example["context"])}
    if "target" in example:
        checked |= {"target": _text(example["target"])}
    if "picture" in example or "context" in example:
        checked |= {side: _answer(example[side]) for side in ("float", "quantized")}
    return checked


def _explained(explanation: Mapping[str, Any]) -> dict[str, Any]:
    """What a task's `explain_change` says by class, of whatever task."""
    by_class = {
        _text(name): tuple(_counted(counts[key]) for key in ("n", "right", "were"))
        for name, counts in (explanation.get("change_by_class") or {}).items()
    }
    flipped = tuple(
        (_text(each["from"]), _text(each["to"]), _counted(each["n"]))
        for each in explanation.get("flipped") or ()
    )
    return {"by_class": by_class, "flipped": flipped}


def _counted(value: Any) -> int:
    count = _whole(value)
    if count is None:
        raise ValueError("a count that is missing")
    return count


def _answer(said: Any) -> Any:
    """Boxes, or words with their probabilities."""
    if isinstance(said, list | tuple):
        return [_detected(box) for box in said]
    return {
        "right": bool(said["right"]),
        "words": [(_text(w), _number(p)) for w, p in said["words"]],
    }


def _diagnosis(data: Mapping[str, Any]) -> Diagnosis:
    causes = tuple(
        Cause(
            _text(found["cause"]),
            tuple(map(_text, found["ops"])),
            _text(found["text"]),
            _text(found["remedy"]),
        )
        for found in data["findings"]
    )
    named = {op for cause in causes for op in cause.ops}.union(
        map(_text, data.get("flagged", data.get("convicted", ())))
    )
    profile, flagged = [], []
    for each in data["profile"]:
        place, snr = _whole(each["place"]), _number(each["snr_db"])
        if place is None or snr is None:
            raise ValueError("a profile without a place or a number")
        profile.append((place, snr))
        if _text(each["op"]) in named:
            flagged.append((place, each["op"]))
    return Diagnosis(causes, tuple(profile), tuple(flagged))


def _side(value: Any) -> float:
    length = _number(value)
    if length is None or length <= 0:
        raise ValueError(f"{str(value)[:40]!r} is no side of a picture")
    return length


def _detected(box: Sequence[Any]) -> tuple[float, float, float, float, float, str]:
    x, y, width, height, score = (float(_number(side) or 0) for side in box[:5])
    return x, y, width, height, score, _text(str(box[5]))


def _with_ratios(views: Sequence[View]) -> list[View]:
    """Ratios to the reference of the same run."""
    references = {
        (view.model, view.dataset, view.device): view for view in views if view.is_reference
    }
    named = {view.case: view for view in references.values()}  # of another model, too

    def told(view: View) -> View:
        was = references.get((view.model, view.dataset, view.device))
        was = was or named.get(view.reference or "")
        if was is None or was is view:
            return view
        return replace(
            view,
            size_ratio=_ratio(view.weights_bytes, was.weights_bytes),
            latency_ratio=_ratio(view.latency_s, was.latency_s),
            energies=beside(view.energies, was.energies),
        )

    return [told(view) for view in views]


def _ratio(value: float | None, before: float | None) -> float | None:
    return value / before if value and before else None
