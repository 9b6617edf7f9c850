"""Records: everything measured for a case, as versioned JSON."""

from __future__ import annotations

import math
import platform
from typing import TYPE_CHECKING, Any

from quantbench.measure.energy.spent import SEARCHED, SPENT
from quantbench.measure.machines import machine_in_words
from quantbench.measure.memory import PEAK
from quantbench.record.energy import merged_energy, unknown_energy
from quantbench.stats.familywise import holm

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from quantbench.measure.memory import PeakMemory
    from quantbench.run.evaluation import Evaluation
    from quantbench.stats.comparison import Estimate
    from quantbench.stats.gates import Verdict
    from quantbench.store.artifacts import Artifact
    from quantbench.study import Case

SCHEMA = 3
_NOT_OF_THE_BUILD = {SPENT, SEARCHED, PEAK}  # told elsewhere, or another each time
# Metrics that are no answers: of this machine, whatever the weights are.
TIMED = ("prefill_tokens_per_s", "decode_tokens_per_s", "evaluation_tokens_per_s")


def empty_record(case: Case) -> dict[str, Any]:
    """A record that knows the case's name and nothing measured."""
    return {
        **blank_record(str(case), case.model.name, case.scheme.name, case.task),
        "backend": case.scheme.backend,
        "device": case.device,
        "bits": case.scheme.bits if case.scheme.weights != "as shipped" else None,
        "reference": str(case.reference) if case.model.reference else None,
        "dataset": {"name": case.dataset.name, "n": None, "sha256": None},
        "labels": _labels(case),
        "expected": case.expected,
        "random_weights": case.model.source if case.model.has_random_weights else None,
        "note": case.model.note,
        "model_card": {
            "license": case.model.license or None,
            "paper": case.model.paper or None,
            "published": list(case.model.published) if case.model.published else None,
        },
    }


def blank_record(case: str, model: str, scheme: str, task: str) -> dict[str, Any]:
    """A record of which only names are known."""
    return {
        "case": case,
        "model": model,
        "scheme": scheme,
        "task": task,
        "backend": None,
        "device": "cpu",
        "bits": None,
        "reference": None,
        "dataset": {"name": "", "n": None, "sha256": None},
        "artifact": None,
        "metrics": {},
        "explanation": {},
        "diagnosis": None,
        "speed": None,
        "examples": [],
        "labels": {},
        "verdicts": [],
        "expected": "pass",
        "latency": None,
        "memory": {"weights_bytes": None, "peak_rss_bytes": None, "peak_device_bytes": None},
        "energy": unknown_energy(),
        "carbon": None,
        "evidence": None,
        "baseline": None,
        "timings_s": {"build": None, "predict": None, "summarise": None},
        "cache": {"artifact": None, "evidence": None},
        "runner": None,
        "random_weights": None,
        "note": "",
        "model_card": {"license": None, "paper": None, "published": None},
        "build": {},
        "error": None,
    }


def _labels(case: Case) -> dict[str, str]:
    """Names of what a model tells apart by their ids: a detector's categories, or classes."""
    interface = case.model.interface
    known = (getattr(interface, name, ()) for name in ("category_ids", "class_ids"))
    ids = next((each for each in known if each), ())
    return dict(zip(map(str, ids), getattr(interface, "labels", ()), strict=False))


def with_artifact(
    record: dict[str, Any], artifact: Artifact, facts: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Add what is known once the artifact is built, and opened (`facts`)."""
    memory = {**record["memory"], "weights_bytes": facts["weights_bytes"]} if facts else {}
    return {
        **record,
        "artifact": {"sha256": artifact.sha256, "size_bytes": artifact.size_bytes},
        "build": {k: v for k, v in artifact.details.items() if k not in _NOT_OF_THE_BUILD},
        "timings_s": {**record["timings_s"], "build": artifact.build_s},
        "cache": {**record["cache"], "artifact": artifact.cache},
        "memory": memory or record["memory"],
        "runner": dict(facts) if facts else record["runner"],
    }


def with_evaluation(
    record: dict[str, Any], evaluation: Evaluation, verdicts: Sequence[Verdict] = ()
) -> dict[str, Any]:
    """Add metrics with intervals, verdicts, and what was measured while predicting."""
    measured = evaluation.evidence.measured
    n, tokens = len(evaluation.rows), measured["tokens"]
    # The speed of unpacked weights is not the artifact's.
    as_stored = measured["runner"].get("evaluated_as", "stored") == "stored"
    return {
        **with_artifact(record, evaluation.artifact, measured["runner"]),
        "dataset": dict(evaluation.dataset),
        "metrics": {
            **{name: as_json(evaluation.estimate(name)) for name in evaluation.replicates},
            **(_evaluation_rate(tokens, measured["predict_s"], n) if as_stored and tokens else {}),
        },
        "evidence": {
            "keys": evaluation.evidence.keys,
            "sha256": evaluation.evidence.sha256,
            "protocol": evaluation.protocol,
            "predicted_by": [machine_in_words(each) for each in evaluation.evidence.machines],
        },
        "explanation": dict(evaluation.explanation),
        "examples": [dict(change) for change in evaluation.changes],
        "verdicts": [verdict_as_json(verdict, evaluation.case) for verdict in verdicts],
        "memory": {
            "weights_bytes": measured["runner"]["weights_bytes"],
            "peak_rss_bytes": measured["peak_rss_bytes"],
            "peak_device_bytes": measured["peak_device_bytes"],
        },
        "timings_s": {
            "build": evaluation.artifact.build_s,
            "predict": measured["predict_s"],
            "summarise": evaluation.summarise_s,
        },
        "cache": {
            "artifact": evaluation.artifact.cache,
            "evidence": "computed" if evaluation.evidence.cache == "built" else "hit",
        },
    }


def with_peaks(record: dict[str, Any], measured: PeakMemory) -> dict[str, Any]:
    """Put in the memory of single predictions, which compares where that of batches does not."""
    peaks = {
        name: value
        for name in ("peak_rss_bytes", "peak_device_bytes")
        if (value := getattr(measured, name)) is not None
    }
    return {**record, "memory": {**record["memory"], **peaks}}


def with_latency(
    record: dict[str, Any], timing: Any, sample: Any, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Add what pytest-benchmark measured of `runner.predict(sample)`.

    Args:
        record: what is known so far.
        timing: pytest-benchmark's statistics: `median`, `iqr`, `min`, `q1`, `q3`, `max` in seconds,
            `rounds`.
        sample: where it has `tokens`, their number over the time is the metric `tokens_per_s`,
            with the quartiles of the rounds for an interval.
        facts: of the runner that was timed.
    """
    latency = {
        "median_ns": round(timing.median * 1e9),
        "iqr_ns": round(timing.iqr * 1e9),
        "min_ns": round(timing.min * 1e9),
        "q1_ns": round(timing.q1 * 1e9),
        "q3_ns": round(timing.q3 * 1e9),
        "max_ns": round(timing.max * 1e9),
        "rounds": timing.rounds,
        "threads": facts["threads"],
        "delegate": facts["delegate"],
        "node": platform.node(),
    }
    metrics = dict(record["metrics"])
    if tokens := len(getattr(sample, "tokens", ())):
        how = f"prefill of one passage of {tokens} tokens"
        metrics["prefill_tokens_per_s"] = _rate(tokens, timing, how)
    return {**record, "latency": latency, "metrics": metrics}


def with_decoding(record: dict[str, Any], timing: Any, tokens: int) -> dict[str, Any]:
    """Add what pytest-benchmark measured of saying `tokens` tokens, one after the other."""
    rate = _rate(tokens, timing, f"decoding of {tokens} tokens after one passage")
    return {**record, "metrics": {**record["metrics"], "decode_tokens_per_s": rate}}


def _rate(tokens: int, timing: Any, how: str) -> dict[str, Any]:
    return {
        "value": tokens / timing.median,
        "low": tokens / timing.q3,
        "high": tokens / timing.q1,
        "confidence": 0.5,
        "n": timing.rounds,
        "method": f"{how}, batch of 1; quartiles of the rounds",
    }


def _evaluation_rate(tokens: int, seconds: float, n: int) -> dict[str, Any]:
    """The published study's figure: all tokens over the whole evaluation's time."""
    rate = tokens / seconds if seconds else None
    how = f"{tokens} tokens of {n} passages over the evaluation's time, tokenization included"
    return {
        "evaluation_tokens_per_s": {
            "value": rate,
            "low": rate,
            "high": rate,
            "confidence": 0.0,
            "n": 1,
            "method": how,
        }
    }


def as_json(estimate: Estimate) -> dict[str, Any]:
    """An estimate; an undefined one has nulls, never NaN."""
    return {
        "value": _finite(estimate.value),
        "low": _finite(estimate.low),
        "high": _finite(estimate.high),
        "confidence": estimate.confidence,
        "n": estimate.n,
        "method": estimate.method,
    }


def verdict_as_json(verdict: Verdict, case: Case | None = None) -> dict[str, Any]:
    """A verdict with the study's expectation beside it, where there is a study."""
    return {
        "metric": verdict.gate.metric,
        "margin": verdict.gate.margin,
        "relative": verdict.gate.relative,
        "lower_is_better": verdict.gate.lower_is_better,
        "confidence": verdict.gate.confidence,
        "outcome": verdict.outcome,
        "difference": _finite(verdict.difference.value),
        "low": _finite(verdict.difference.low),
        "high": _finite(verdict.difference.high),
        "method": verdict.difference.method,
        "n": verdict.difference.n,
        "groups": verdict.difference.groups,
        "quantized": _finite(verdict.quantized),
        "reference": _finite(verdict.reference),
        "exact": verdict.exact,
        "p_value": verdict.p_value,
        "flips": list(verdict.flips) if verdict.flips else None,
        "samples_to_decide": verdict.samples_to_decide,
        "against": verdict.against,
        **_declared(verdict, case),
    }


def _declared(verdict: Verdict, case: Case | None) -> dict[str, str]:
    """What the study said of this gate before: a declared failure is one against the reference."""
    if case is None:
        return {"expected": "pass", "reason": ""}
    expected = case.expects(verdict.gate.metric) if verdict.against == "reference" else "pass"
    return {"expected": expected, "reason": case.reason if expected != "pass" else ""}


def judged_together(records: Iterable[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Turn passes that do not survive the correction for multiple gates into `inconclusive`.

    Holm's step-down over the p-values of all verdicts against a reference that leave anything to
    chance, declared failures left out (they do not pass, whatever happens). A pass stands where
    its adjusted p-value is at most its own gate's alpha, 1 - confidence. So for every alpha the
    chance of even one false pass among the gates asked at confidence 1 - alpha or more stays at
    alpha: such a pass is one that Holm's procedure at alpha, over the whole family, makes too
    (Holm, Scandinavian Journal of Statistics 6, 1979; adjusted p-values: Wright, Biometrics 48,
    1992).

    Returns:
        Case and verdict of each pass that fell.
    """
    family = [
        (record["case"], verdict)
        for record in records
        for verdict in record["verdicts"]
        if verdict["expected"] == "pass"
        and verdict["against"] == "reference"
        and verdict["p_value"] is not None
        and not verdict["exact"]
    ]
    fallen = []
    adjusted = holm([verdict["p_value"] for _, verdict in family])
    for (case, verdict), p_value in zip(family, adjusted, strict=True):
        verdict["p_value_holm"] = p_value
        if verdict["outcome"] == "pass" and p_value > 1 - verdict["confidence"]:
            verdict["outcome"] = "inconclusive"
            fallen.append((case, verdict))
    return fallen


def merged(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """Two records of one case as one: what the later one does not know stays.

    A case that was built in this run was built, although another test or worker found it in the
    store. Of errors the first stands. Of energy see `energy.merged_energy`.
    """
    result = dict(earlier)
    for name, value in later.items():
        known: Any = earlier.get(name)
        if name == "cache":
            result[name] = {key: _first_made(known[key], value[key]) for key in value}
        elif name in {"examples", "diagnosis", "speed"}:
            result[name] = known or value
        elif name == "verdicts":
            result[name] = [*known, *(verdict for verdict in value if verdict not in known)]
        elif name == "error":
            result[name] = known or value
        elif name == "energy":
            result[name] = merged_energy(known, value) if known else value
        elif isinstance(value, dict) and isinstance(known, dict):
            result[name] = known | {k: v for k, v in value.items() if v is not None}
        elif value is not None:
            result[name] = value
    return result


def document(
    records: Iterable[Mapping[str, Any]],
    skipped: Mapping[str, str],
    environment: Mapping[str, Any],
) -> dict[str, Any]:
    """The value of the top-level key "quantbench" in the file of `--benchmark-json`.

    Args:
        records: of the cases that ran, in any order.
        skipped: case to reason, for those that did not.
        environment: see `record/environment.py`.
    """
    return {
        "schema": SCHEMA,
        "environment": dict(environment),
        "skipped": [{"case": case, "reason": skipped[case]} for case in sorted(skipped)],
        "records": sorted(records, key=lambda record: str(record["case"])),
    }


def _first_made(one: str | None, other: str | None) -> str | None:
    return next((word for word in (one, other) if word not in {None, "hit"}), one or other)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
