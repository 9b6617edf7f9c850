"""Same seed, same machine: the same records, whatever runs beside them and in which order."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.plugin.conftest import Study

# What says when, how fast or beside what it was measured, and nothing of the model.
TIMES = {"latency", "timings_s", "cache", "energy"}
SPEEDS = ("_per_s",)


def measured(study: Study, *arguments: str) -> str:
    """The records of a run with an empty cache, less its times, as text."""
    shutil.rmtree(study.path / "cache", ignore_errors=True)
    study.run("--benchmark-json", "out.json", *arguments)
    document = json.loads((study.path / "out.json").read_text())["quantbench"]
    return json.dumps([timeless(record) for record in document["records"]], indent=1)


def timeless(record: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in record.items() if name not in TIMES}
    kept["metrics"] = {n: m for n, m in record["metrics"].items() if not n.endswith(SPEEDS)}
    kept["memory"] = {"weights_bytes": record["memory"]["weights_bytes"]}
    kept["runner"] = {n: v for n, v in (record["runner"] or {}).items() if n != "threads"}
    return kept


def test_records_are_the_same_byte_for_byte(study: Study) -> None:
    study.write("same", "worse", "close")
    first = measured(study)
    assert measured(study) == first
    assert measured(study, "-n", "2") == first
    names = [f"test_fake.py::TestFake::test_accuracy[fake-{s}-numbers]" for s in ("close", "worse")]
    others = [f"test_fake.py::TestFake::test_accuracy[fake-{s}-numbers]" for s in ("same", "float")]
    latencies = [name.replace("accuracy", "latency") for name in (*others, *names)]
    assert measured(study, *names, *latencies, *others) == first
