"""The JSON Schema of record files says what runs write, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema

import quantbench.record
from quantbench.record.schema import SCHEMA, blank_record

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugin.conftest import Study

FILE = Path(quantbench.record.__file__).with_name("record.schema.json")
KINDS: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(KINDS)


def said(document: Any) -> list[str]:
    """What the schema finds wrong."""
    return [f"{list(e.absolute_path)}: {e.message}" for e in VALIDATOR.iter_errors(document)]


def test_the_schema_is_one_and_of_this_version() -> None:
    VALIDATOR.check_schema(KINDS)
    assert KINDS["$defs"]["document"]["properties"]["schema"]["const"] == SCHEMA


def test_it_names_every_key_of_a_record() -> None:
    blank = blank_record("m-s-d", "m", "s", "detection")
    kinds = KINDS["$defs"]
    assert list(kinds["record"]["properties"]) == list(kinds["record"]["required"])
    assert set(kinds["record"]["properties"]) == set(blank)
    for name in ("dataset", "memory", "energy", "timings_s", "cache", "model_card"):
        assert set(kinds[name]["required"]) <= set(blank[name]) <= set(kinds[name]["properties"])
    assert said({"schema": SCHEMA, "environment": {}, "skipped": [], "records": [blank]}) == []


BROKEN: dict[str, Callable[[Any], Any]] = {
    "a key that no record has": lambda record: record.update(extra=1),
    "no verdicts": lambda record: record.pop("verdicts"),
    "another outcome": lambda record: record["verdicts"][0].update(outcome="maybe"),
    "a margin in words": lambda record: record["verdicts"][0].update(margin="5%"),
    "an estimate without samples": lambda record: record["metrics"]["accuracy"].pop("n"),
    "half a flip": lambda record: record["verdicts"][0].update(flips=[3]),
    "a time in seconds": lambda record: record["latency"].update(median_ns=0.5),
}


def test_what_a_run_writes_is_valid_and_nothing_else(study: Study) -> None:
    """Passes, a failure, a broken case, a skipped one, latencies and an estimate."""
    study.write("worse", "close", "broken", "unreachable")
    options = ("--quant-watts", "15", "--quant-grid", "0.2", "--quant-diagnose", "quick")
    study.run("--benchmark-json", "out.json", *options)
    document = json.loads((study.path / "out.json").read_text())["quantbench"]
    assert said(document) == []
    assert {record["scheme"] for record in document["records"]} >= {"float", "worse", "broken"}
    assert document["skipped"]
    by_scheme = {record["scheme"]: record for record in document["records"]}
    assert by_scheme["broken"]["error"]
    assert by_scheme["worse"]["verdicts"][0]["outcome"] == "fail"
    assert by_scheme["float"]["latency"]
    assert by_scheme["float"]["carbon"]
    place = next(i for i, each in enumerate(document["records"]) if each["scheme"] == "close")
    for what, spoil in BROKEN.items():
        spoilt = json.loads(json.dumps(document))
        spoil(spoilt["records"][place])
        assert said(spoilt), what


def test_what_judge_writes_is_valid(study: Study) -> None:
    for name, wrong in (("float", 2), ("int8", 3)):
        rows = [{"id": i, "correct": i % 10 >= wrong} for i in range(200)]
        (study.path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    files = ("float.jsonl", "int8.jsonl", "--value", "correct", "--margin", "0.2")
    assert study.command("judge", "rows", *files, "-o", "out.json").ret == 0
    assert said(json.loads((study.path / "out.json").read_text())["quantbench"]) == []
