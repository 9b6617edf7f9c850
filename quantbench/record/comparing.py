"""Two runs of the same cases, case by case."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.core.digests import as_digest
from quantbench.core.jsons import MALFORMED
from quantbench.errors import RecordError
from quantbench.record.reading import estimate_of
from quantbench.run.judging import compared_in_pairs
from quantbench.run.results import Results
from quantbench.stats.comparison import Comparison, Independent, Known
from quantbench.stats.gates import outcome_of
from quantbench.stats.influence import influence_of
from quantbench.stats.proportions import PairedProportions
from quantbench.store.artifacts import Store, default_root
from quantbench.store.evidence import Evidence
from quantbench.study import Gate
from quantbench.study.registry import find_task
from quantbench.study.words import UNTRAINED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from quantbench.protocols import Numbers, Row
    from quantbench.store.artifacts import Artifact

Named = tuple[str, "Mapping[str, Any]"]


def compared(before: Named, after: Named, store: Store | None = None) -> list[dict[str, Any]]:
    """A row a case that both have: metric, difference with interval, flips, ratios, verdict.

    Args:
        before: file name and document (`reading.read_document`).
        after: the same of the run that is judged.
        store: where evidence may be; None for the platform's.

    Raises:
        RecordError: they share no case, or a shared case was evaluated on other data or under
            another protocol, or is malformed.
    """
    were = {record["case"]: record for record in before[1]["records"]}
    now = {record["case"]: record for record in after[1]["records"]}
    if not set(were) & set(now):
        raise RecordError(
            "the two runs share no case",
            expected=", ".join(sorted(were)[:5]) or "a case",
            got=", ".join(sorted(now)[:5]) or "none",
            where=f"{before[0]}, {after[0]}",
        )
    store = store or Store(default_root())
    try:
        rows = [
            {"file": after[0], **row}
            for case, was in were.items()
            for row in (
                _rows_of(was, now[case], store, after[0]) if case in now else [_missing(was)]
            )
        ]
    except MALFORMED as error:
        raise RecordError(
            "a record is malformed",
            where=f"{before[0]}, {after[0]}",
            got=f"{type(error).__name__}: {error}",
        ) from error
    return sorted(rows, key=lambda row: (_ORDER.index(row["verdict"]), row["case"]))


_ORDER = ("error", "missing", "fail", "inconclusive", UNTRAINED, "not judged", "pass")
WORSE = frozenset({"error", "missing", "fail"})


def _missing(was: Mapping[str, Any]) -> dict[str, Any]:
    """A case that the later run does not have: nothing says that it is still as good."""
    return {**_nothing(was["case"]), "verdict": "missing"}


def _nothing(case: str) -> dict[str, Any]:
    case.encode()  # half a surrogate pair cannot be written anywhere
    names = ("metric", "before", "after", "difference", "low", "high", "flips")
    more = ("size_ratio", "time_ratio", "energy_ratio", "paired")
    return {"case": case, **dict.fromkeys((*names, *more)), "verdict": "not judged"}


def _rows_of(
    was: Mapping[str, Any], now: Mapping[str, Any], store: Store, name: str
) -> list[dict[str, Any]]:
    """One a gate on quality; one without where the case has none."""
    row = _nothing(now["case"]) | {
        "size_ratio": _ratio(now["memory"]["weights_bytes"], was["memory"]["weights_bytes"]),
        "time_ratio": _ratio(_time(now), _time(was)),
        "energy_ratio": _ratio(*_joules(now, was)),
    }
    if now["error"] and not was["error"]:
        return [{**row, "verdict": "error"}]
    if now["random_weights"]:
        return [{**row, "verdict": UNTRAINED}]
    judged = {v["metric"]: v for v in now["verdicts"] if v["metric"] in now["metrics"]}
    known = [v for metric, v in judged.items() if metric in was["metrics"]]
    if known:
        _check_like(was, now)
    return [{**row, **_judged(was, now, v, store, name)} for v in known] or [row]


def _judged(
    was: Mapping[str, Any], now: Mapping[str, Any], by: Mapping[str, Any], store: Store, name: str
) -> dict[str, Any]:
    """By the gate of the later run."""
    metric = by["metric"]
    metric.encode()
    gate = Gate(metric, by["margin"], by["confidence"], by["lower_is_better"], by["relative"])
    one, other = (
        estimate_of(record["metrics"][metric], f"{name}, {record['case']}, {metric}")
        for record in (now, was)
    )
    undefined = not (math.isfinite(one.value) and math.isfinite(other.value))
    if undefined or (gate.relative and other.value <= 0):
        return {"metric": metric}
    pair = _paired(now, was, gate, store)
    comparison: Comparison = pair or Independent(one, other, relative=gate.relative)
    difference = comparison.interval(2 * gate.confidence - 1)
    return {
        "metric": metric,
        "before": other.value,
        "after": one.value,
        "difference": difference.value,
        "low": difference.low,
        "high": difference.high,
        "flips": [pair.losses, pair.gains] if isinstance(pair, PairedProportions) else None,
        "paired": pair is not None,
        "verdict": outcome_of(difference, gate),
    }


def _check_like(was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    for what, key in (("other samples", "dataset"), ("another protocol", "evidence")):
        digest = "sha256" if key == "dataset" else "protocol"
        one, other = ((record[key] or {}).get(digest) for record in (now, was))
        if one and other and one != other:
            preposition = "on" if key == "dataset" else "under"
            raise RecordError(
                f"{now['case']} was evaluated {preposition} {what}",
                expected=f"sha256 {other[:12]}",
                got=f"sha256 {one[:12]}",
                remedy="compare runs with the same --quant-samples and versions of quantbench",
            )


def _paired(
    now: Mapping[str, Any], was: Mapping[str, Any], gate: Gate, store: Store
) -> Comparison | None:
    """In pairs, where the evidence of both is stored, or is the same; None elsewhere."""
    if _same(now, was):
        return Known(0.0, int(now["dataset"]["n"]))
    if now["dataset"].get("groups"):  # which sample is of which group is not recorded
        return None
    sides = [_rows(record, store) for record in (now, was)]
    if sides[0] is None or sides[1] is None:
        return None
    one, other = (_results(record, rows) for record, rows in zip((now, was), sides, strict=True))
    if one is None or other is None:
        return None
    return compared_in_pairs(one, other, gate)


def _same(now: Mapping[str, Any], was: Mapping[str, Any]) -> bool:
    """Whether both are the answers of one artifact on the same samples."""
    known = [
        ((record["artifact"] or {}).get("sha256"), (record["evidence"] or {}).get("sha256"))
        for record in (now, was)
    ]
    return all(known[0]) and known[0] == known[1]


def _results(record: Mapping[str, Any], rows: Sequence[Row] | None) -> Results | None:
    """What stored rows say, counted by the record's task without its model."""
    counting = getattr(find_task(record["task"]), "without_model", None)
    if counting is None or rows is None:
        return None
    numbers: Numbers = counting(rows)
    values = numbers.summarise(rows, np.ones((1, len(rows))))
    return Results(
        name=record["case"],
        rows=rows,
        replicates=dict(values),
        lower_is_better=frozenset(),
        dataset=record["dataset"],
        per_sample=dict(numbers.per_sample(rows)),
        moved_by=partial(influence_of, numbers, rows, None),
    )


def _rows(record: Mapping[str, Any], store: Store) -> Sequence[Row] | None:
    if not record["evidence"] or not record["evidence"]["keys"]:
        return None
    shards: list[Artifact] = []
    for key in record["evidence"]["keys"]:
        shard = store.find("evidence", as_digest(key))
        if shard is None:
            return None
        shards.append(shard)
    return Evidence(tuple(shards)).rows


def _time(record: Mapping[str, Any]) -> float | None:
    return record["latency"]["median_ns"] if record["latency"] else None


def _joules(now: Mapping[str, Any], was: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Of both, where they come from one source: the same counter, or the same rate."""
    one, other = (record.get("energy") or {} for record in (now, was))
    if any(one.get(name) != other.get(name) for name in ("provenance", "by")):
        return None, None
    return one.get("joules_per_sample"), other.get("joules_per_sample")


def _ratio(value: float | None, was: float | None) -> float | None:
    ratio = value / was if value and was else None
    return ratio if ratio is not None and math.isfinite(ratio) else None
