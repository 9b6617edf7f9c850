"""Record files read back: checked, and brought to this version's form."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from quantbench.core.jsons import loads
from quantbench.errors import RecordError
from quantbench.record.energy import unknown_energy
from quantbench.record.journal import PARTIAL, read_journal
from quantbench.record.schema import SCHEMA, TIMED
from quantbench.record.schema import document as document_of
from quantbench.stats.comparison import Estimate
from quantbench.study.model import RANDOM_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_KEY = "quantbench"
_NEEDED = dict.fromkeys(("case", "model", "scheme", "task"), str) | {
    "dataset": dict,
    "metrics": dict,
    "verdicts": list,
}


_JUDGED = {"metric", "margin", "confidence", "outcome"}


def read_json(path: Path) -> Any:
    """A JSON file without NaN, whose objects have no key twice.

    Raises:
        RecordError: there is no such file, or it is something else.
    """

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("an object has a key twice")
        return found

    try:
        text = path.read_text(encoding="utf-8")
        return loads(text, parse_constant=refuse, object_pairs_hook=once)
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(
            "cannot read the file", where=path, expected="JSON, whole", got=error
        ) from error


def refuse_newer(what: str, path: Path, version: int, known: int) -> None:
    """Make sure that this version can read the file.

    Raises:
        RecordError: a later one wrote it.
    """
    if version > known:
        raise RecordError(
            f"the {what} was written by a newer quantbench",
            where=path,
            expected=f"schema {known} or older",
            got=f"schema {version}",
            remedy="pip install --upgrade quantbench",
        )


def read_document(path: Path) -> dict[str, Any]:
    """The part of a `--benchmark-json` file that is quantbench's, in this version's form.

    Of a run that was killed the journal beside it (`record/journal.py`) is read the same way.

    Raises:
        RecordError: it is no such file, was written by a newer quantbench, lacks what every
            record has, holds a case twice, or a verdict that its own numbers contradict.
    """
    whole = _so_far(path) if path.name.endswith(PARTIAL) else read_json(path)
    document = whole.get(_KEY) if isinstance(whole, dict) else None
    if not isinstance(document, dict):
        raise RecordError(
            "no record file of quantbench",
            where=path,
            expected=f'a file of pytest --benchmark-json, with a key "{_KEY}"',
        )
    version = document.get("schema")
    if not isinstance(version, int) or version < 1:
        raise RecordError("a record file without a version", where=path, got=repr(version))
    refuse_newer("record file", path, version, SCHEMA)
    records = document.get("records")
    if not isinstance(records, list):
        raise RecordError("a record file without records", where=path)
    if not isinstance(document.get("skipped", []), list):
        raise RecordError("the list of skipped cases is malformed", where=path)
    for place, record in enumerate(records):
        _check(record, f"{path}, record {place}")
    _check_one_run(records, path)
    for step in range(version, SCHEMA):
        records = [_UPGRADES[step](record) for record in records]
    records = [{**_UNKNOWN, **record} for record in records]
    return {"environment": {}, "skipped": [], **document, "schema": SCHEMA, "records": records}


def _so_far(path: Path) -> dict[str, Any]:
    """A journal in the form of the file that its run did not come to write."""
    found = read_journal(path)
    listed = document_of(found.records.values(), found.skipped, found.environment)
    return {_KEY: {**listed, "schema": found.schema}}


# What a record may leave out, because nothing is known of it.
_UNKNOWN = {
    **dict.fromkeys(("artifact", "latency", "error", "evidence", "runner", "baseline", "carbon")),
    "random_weights": None,
    "memory": {"weights_bytes": None},
}


def _check(record: Any, where: str) -> None:
    for name, kind in _NEEDED.items():
        value = record.get(name) if isinstance(record, dict) else None
        if not isinstance(value, kind):
            raise RecordError(
                f"a record's {name} is missing or malformed",
                where=where,
                expected=kind.__name__,
                got=repr(value)[:80],
            )
    for verdict in record["verdicts"]:
        lacking = _JUDGED - set(verdict) if isinstance(verdict, dict) else _JUDGED
        if lacking:
            raise RecordError(
                "a verdict is malformed", where=where, expected=", ".join(sorted(lacking))
            )
    _check_untrained(record, where)


def _check_untrained(record: Mapping[str, Any], where: str) -> None:
    """A model with random weights says so, and nothing is said of its answers."""
    named = record["model"].endswith(RANDOM_SUFFIX)
    if named != bool(record.get("random_weights")):
        raise RecordError(
            "a record's model and its random weights contradict each other",
            where=where,
            expected=f"a model named ..{RANDOM_SUFFIX} with the source of its random weights, or "
            "neither",
            got=f"{record['model'][:80]}, {record.get('random_weights')!r:.80}",
            remedy="record files are written by a run and not by hand: run it again",
        )
    answers = [name for name in ("verdicts", "evidence", "examples", "diagnosis", "explanation")
               if record.get(name)]  # fmt: skip
    answers += [name for name in record["metrics"] if name not in TIMED]
    if named and answers:
        raise RecordError(
            "a model with random weights was judged by its answers",
            where=where,
            expected="sizes, memory and times alone",
            got=", ".join(sorted(answers))[:200],
            remedy="record files are written by a run and not by hand: run it again",
        )


def _check_one_run(records: list[dict[str, Any]], path: Path) -> None:
    """One record a case, and no conclusion that was typed by hand."""
    counted = Counter(str(record["case"]) for record in records)
    if twice := [case for case, times in counted.items() if times > 1]:
        raise RecordError(
            "a record file holds a case twice",
            where=path,
            expected="what one run measured",
            got=f"{counted[twice[0]]} records of {twice[0][:80]}",
            remedy="keep each run's own file: quantbench compare and report take several",
        )
    for record in records:
        for verdict in record["verdicts"]:
            if (meant := _follows(verdict)) and verdict["outcome"] not in meant:
                raise RecordError(
                    "a verdict contradicts its own numbers",
                    where=f"{path}, {str(record['case'])[:80]}",
                    expected=f"{' or '.join(meant)}: {str(verdict['metric'])[:40]} difference "
                    f"in [{verdict['low']:g}, {verdict['high']:g}], margin {verdict['margin']:g}",
                    got=str(verdict["outcome"])[:40],
                    remedy="record files are written by a run and not by hand: run it again",
                )


def _follows(verdict: Mapping[str, Any]) -> tuple[str, ...]:
    """The outcomes that the verdict's interval and margin allow; none where they are not known."""
    numbers = [verdict.get(name) for name in ("low", "high", "margin")]
    if "lower_is_better" not in verdict or not all(
        isinstance(number, float) and math.isfinite(number) for number in numbers
    ):
        return ()
    low, high, margin = (float(number) for number in numbers if number is not None)
    if verdict["lower_is_better"]:
        low, high = -high, -low
    if high < -margin:
        return ("fail",)
    # A pass that is not certain enough beside the run's others is none (Holm).
    return ("pass", "inconclusive") if low > -margin else ("inconclusive",)


def estimate_of(metric: Mapping[str, Any], where: str) -> Estimate:
    """An estimate out of a record's metric.

    Raises:
        RecordError: it is malformed.
    """
    try:
        numbers = [metric[name] for name in ("value", "low", "high")]
        value, low, high = (math.nan if number is None else float(number) for number in numbers)
        return Estimate(
            value, low, high, float(metric["confidence"]), int(metric["n"]), str(metric["method"])
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise RecordError(
            "a metric is malformed",
            where=where,
            expected="value, low, high, confidence, n, method",
            got=f"{type(error).__name__}: {error}",
        ) from error


def _second(record: Mapping[str, Any]) -> dict[str, Any]:
    """Schema 1 knew one tool less: no evidence keys, one kind of tokens/s, bare verdicts."""
    metrics = dict(record["metrics"])
    if "tokens_per_s" in metrics:
        metrics["prefill_tokens_per_s"] = metrics.pop("tokens_per_s")
    unknown = dict.fromkeys(
        ("p_value", "flips", "samples_to_decide", "n", "quantized", "reference")
    )
    known = {"relative": False, "lower_is_better": False, "against": "reference"}
    verdicts = [unknown | known | verdict for verdict in record["verdicts"]]
    return {**record, "metrics": metrics, "verdicts": verdicts, "evidence": None}


def _third(record: Mapping[str, Any]) -> dict[str, Any]:
    """Schema 2 knew joules and where they come from, and nothing of carbon."""
    energy = record.get("energy")
    whole = unknown_energy() | energy if isinstance(energy, dict) else energy or unknown_energy()
    return {**record, "energy": whole, "carbon": None}


_UPGRADES: dict[int, Callable[[Mapping[str, Any]], dict[str, Any]]] = {1: _second, 2: _third}
