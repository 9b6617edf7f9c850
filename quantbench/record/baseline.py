"""The last accepted run, as a small file to commit: estimates and digests, sorted, no times."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from quantbench.core.digests import as_digest
from quantbench.core.jsons import MALFORMED
from quantbench.errors import RecordError
from quantbench.record.reading import estimate_of, read_json, refuse_newer
from quantbench.record.schema import TIMED
from quantbench.run.accepted import Entry
from quantbench.study.model import RANDOM_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


_KEY = "quantbench_baseline"
_VERSION = 1


def accepted(document: Mapping[str, Any], *, times: bool = False) -> dict[str, Any]:
    """The baseline of a record document (`reading.read_document`).

    Args:
        document: of a run; cases without evidence or with an error are left out.
        times: keep throughputs and latencies, which are this machine's.

    Raises:
        RecordError: no case has evidence, one is malformed, or a model's weights are random.
    """
    if untrained := [record["case"] for record in document["records"] if record["random_weights"]]:
        raise RecordError(
            "random weights are nothing to be accepted",
            expected="a run of trained models alone",
            got=", ".join(untrained[:5]),
            remedy=f"run again without --quant-random-weights and models named ..{RANDOM_SUFFIX}",
        )
    cases = {}
    for record in document["records"]:
        if record["error"] or not record["evidence"]:
            continue
        try:
            cases[record["case"]] = _kept(record, times=times)
        except MALFORMED as error:
            raise RecordError(
                "a case's evidence is malformed",
                where=str(record["case"])[:80],
                got=f"{type(error).__name__}: {error}",
            ) from error
    if not cases:
        raise RecordError(
            "nothing to accept: no case of this run was evaluated",
            remedy="run the accuracy tests too, with this version of quantbench",
        )
    packages = document["environment"].get("packages", {})
    return {_KEY: _VERSION, "packages": packages, "cases": cases}


def _kept(record: Mapping[str, Any], *, times: bool) -> dict[str, Any]:
    """What a baseline keeps of a case."""
    kept = {
        "artifact": record["artifact"]["sha256"],
        "dataset": record["dataset"],
        "evidence": record["evidence"]["keys"],
        "metrics": {
            name: metric for name, metric in record["metrics"].items() if times or name not in TIMED
        },
        "protocol": record["evidence"]["protocol"],
        "size_bytes": record["memory"]["weights_bytes"],
    }
    return {**kept, "latency": record["latency"]} if times else kept


def as_text(baseline: Mapping[str, Any]) -> str:
    """As a file that differs only where something changed.

    Raises:
        RecordError: a number of it is none.
    """
    try:
        return json.dumps(baseline, indent=1, sort_keys=True, allow_nan=False) + "\n"
    except ValueError as error:
        raise RecordError("a baseline of numbers that are none", got=error) from error


def read_baseline(path: Path) -> dict[str, Entry]:
    """Entries by case.

    Raises:
        RecordError: it is no baseline, or a newer one.
    """
    found = read_json(path)
    version = found.get(_KEY) if isinstance(found, dict) else None
    if not isinstance(version, int):
        raise RecordError(
            "no baseline", where=path, expected="a file that `quantbench accept out.json` wrote"
        )
    refuse_newer("baseline", path, version, _VERSION)
    try:
        if untrained := [c for c in found["cases"] if c.partition("-")[0].endswith(RANDOM_SUFFIX)]:
            raise RecordError(
                "a baseline of a model with random weights", where=path, got=untrained[0][:80]
            )
        return {
            case: Entry(
                entry["dataset"]["sha256"],
                entry["protocol"],
                tuple(map(as_digest, entry["evidence"])),
                {
                    name: estimate_of(metric, f"{path}, {case}, {name}")
                    for name, metric in entry["metrics"].items()
                },
            )
            for case, entry in found["cases"].items()
        }
    except MALFORMED as error:
        raise RecordError(
            "a malformed baseline", where=path, got=f"{type(error).__name__}: {error}"
        ) from error
