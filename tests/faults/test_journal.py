"""The journal of a run, read after whatever became of it."""

from __future__ import annotations

import json
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantbench.errors import QuantbenchError, RecordError
from quantbench.record.journal import Journal, read_journal
from quantbench.record.reading import read_document
from quantbench.record.schema import SCHEMA
from tests.fuzz.conftest import FUZZ, cut

EMPTY: dict[str, Any] = {
    "model": "m",
    "scheme": "s",
    "task": "t",
    "dataset": {"n": None},
    "metrics": {},
    "verdicts": [],
    "error": None,
    "latency": None,
}


def record(case: str, **known: Any) -> dict[str, Any]:
    return {**EMPTY, "case": case, **known}


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Of a run that finished case a, died in a test of b, and had skipped c."""
    journal = Journal.beside(tmp_path / "out.json")
    journal.write(run={"python": "3", "command": "pytest"}, schema=2)
    journal.write(begins="test[a]", record=record("a"))
    journal.write(record=record("a", latency={"median_ns": 5}))
    journal.write(ends="test[a]")
    journal.write(case="c", skipped="no data")
    journal.write(begins="test[b]", record=record("b"))
    return journal


def test_a_case_in_which_the_run_died_says_so(journal: Journal) -> None:
    found = read_journal(journal.path)
    assert list(found.running) == ["test[b]"]
    assert found.records["a"]["latency"] == {"median_ns": 5}
    assert found.records["b"]["error"]["message"] == "the run died in test[b]"
    assert found.skipped == {"c": "no data"}
    document = read_document(journal.path)
    assert [each["case"] for each in document["records"]] == ["a", "b"]


def test_a_second_run_goes_on_behind_the_first(journal: Journal) -> None:
    journal.write(run={"python": "3", "command": "pytest -k b"}, schema=2)
    journal.write(begins="test[b]", record=record("b"))
    journal.write(record=record("b", latency={"median_ns": 7}))
    journal.write(ends="test[b]")
    found = read_journal(journal.path)
    assert found.running == {}
    assert found.records["a"]["latency"] == {"median_ns": 5}
    assert found.records["b"]["latency"] == {"median_ns": 7}
    assert found.records["b"]["error"] is None


@pytest.mark.parametrize("other", [({"python": "4"}, 2), ({"python": "3"}, SCHEMA + 1)])
def test_runs_that_do_not_go_together_are_not_mixed(
    journal: Journal, other: tuple[dict[str, Any], int]
) -> None:
    journal.write(run=other[0], schema=other[1])
    assert read_journal(journal.path).records == {}
    if other[1] > SCHEMA:
        with pytest.raises(RecordError, match="newer quantbench"):
            read_document(journal.path)


def test_a_line_that_a_kill_tore_costs_itself_alone(journal: Journal) -> None:
    whole = read_journal(journal.path)
    with journal.path.open("a") as file:
        file.write('\n{"record": {"case": "torn", "met')
    assert read_journal(journal.path) == whole
    journal.write(record=record("d"))
    assert set(read_journal(journal.path).records) == {"a", "b", "d"}


def test_what_the_disk_refuses_does_not_stop_the_run(tmp_path: Path) -> None:
    journal = Journal.beside(tmp_path / "nowhere" / "out.json")
    journal.write(ends="test")
    assert "No such file" in journal.failure
    with pytest.raises(RecordError, match="cannot read the journal"):
        read_journal(journal.path)


LINES = [
    {"run": {"python": "3"}, "schema": 2},
    {"begins": "test[a]", "record": record("a")},
    {"record": record("a", cache={"artifact": "built"})},
    {"record": record("a", cache={"artifact": "hit"})},
    {"case": "c", "skipped": "no data"},
    {"ends": "test[a]"},
]
TEXT = "".join(json.dumps(line) + "\n" for line in LINES).encode()


@FUZZ
@given(cut(TEXT), st.booleans())
def test_a_damaged_journal_is_read_or_explained(content: bytes, twice: bool) -> None:  # noqa: FBT001
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out.json.partial"
        path.write_bytes(content * (1 + twice))
        read_journal(path)
        with suppress(QuantbenchError):
            read_document(path)
