"""What a run has found so far, line by line on disk: it outlives a run that is killed.

    {"run": {...}, "schema": 2}           a run begins, in this environment
    {"begins": "test", "record": {...}}   a test begins, with the empty record of its case
    {"record": {...}, "test": "test"}     what a test found of its case
    {"case": "...", "skipped": "..."}     why it was left out
    {"ends": "test"}

Each line is one write at the file's end, by the process that runs the test or the one that gathers
records. A line that a kill tore, or that is malformed, is passed over. A second run writes on
behind the first; once one has come to its end and its results are in its file, the journal goes.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from quantbench.errors import RecordError
from quantbench.jsons import MALFORMED, loads
from quantbench.record.gathering import Gathered
from quantbench.record.schema import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

PARTIAL = ".partial"  # what the journal of out.json ends in
_DIED = "Died"


class Journal:
    """The journal beside a run's `--benchmark-json` file."""

    def __init__(self, path: Path) -> None:
        """Remember where it is; nothing is written yet."""
        self.path = path
        self.failure = ""

    @classmethod
    def beside(cls, output: Path) -> Journal:
        """`out.json.partial` of `out.json`."""
        return cls(output.with_name(output.name + PARTIAL))

    def write(self, **entry: Any) -> None:
        """Add a line. What the disk refuses is kept in `failure`: the run itself goes on."""
        # The line break before it ends a line that a kill tore.
        line = "\n" + json.dumps(entry, allow_nan=False) + "\n"
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                os.write(descriptor, line.encode())
            finally:
                os.close(descriptor)
        except OSError as error:
            self.failure = str(error)

    def remove(self) -> None:
        """The run has come to its end."""
        self.path.unlink(missing_ok=True)


@dataclass
class Unfinished:
    """What the journal knows.

    Attributes:
        environment: of its last run.
        records: by case; of a case that several runs recorded, the last one's.
        skipped: case to reason.
        running: tests that had begun and not ended when the last run died, with the empty record
            of their case.
    """

    schema: int = SCHEMA
    environment: dict[str, Any] = field(default_factory=dict)
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    running: dict[str, dict[str, Any]] = field(default_factory=dict)

    def goes_with(self, environment: Mapping[str, Any], schema: int) -> bool:
        """Whether records of this and of a run there may stand in one file.

        Numbers of other versions, or of another machine, may not.
        """
        ours, theirs = ({**each, "command": None} for each in (self.environment, environment))
        return self.schema == schema and ours == theirs


def read_journal(path: Path) -> Unfinished:
    """Everything that stands in it.

    Runs of different environments do not mix: the last one's stands. A case in which a run died
    has an error that says so.

    Raises:
        RecordError: it cannot be read.
    """
    found, current = Unfinished(), Gathered()
    for line in _lines(path):
        try:
            if "run" in line:
                _close(found, current)
                if not found.goes_with(line["run"], line["schema"]):
                    found = Unfinished()
                found.environment, found.schema = dict(line["run"]), int(line["schema"])
                found.running, current = {}, Gathered()
            elif "begins" in line:
                found.running[str(line["begins"])] = dict(line["record"])
            elif "ends" in line:
                found.running.pop(line["ends"], None)
            elif "skipped" in line:
                found.skipped[str(line["case"])] = str(line["skipped"])
            else:
                current.add(line["record"], str(line.get("test", "")))
        except MALFORMED:
            continue
    _close(found, current)
    found.skipped = {case: why for case, why in found.skipped.items() if case not in found.records}
    return found


def died(empty: Mapping[str, Any], why: str) -> dict[str, Any]:
    """The record of a case whose test ended with its process."""
    return {**empty, "error": {"stage": "call", "type": _DIED, "message": why, "declared": False}}


def _close(found: Unfinished, current: Gathered) -> None:
    """The end of a run: its cases replace those of runs before it."""
    for test, empty in found.running.items():
        current.add(died(empty, f"the run died in {test}"), test)
    found.records |= current.records


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise RecordError("cannot read the journal of a run", where=path, got=error) from error
    for line in text.splitlines():
        try:
            entry = loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict):
            yield entry
