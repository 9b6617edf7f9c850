"""What a run has found so far, line by line on disk: it outlives a run that is killed.

    {"run": {...}, "schema": 3}           a run begins, in this environment
    {"begins": "test", "record": {...}}   a test begins, with the empty record of its case
    {"record": {...}, "test": "test"}     what a test found of its case
    {"case": "...", "skipped": "..."}     why it was left out
    {"ends": "test"}

Each line is one write at the file's end, by the process that runs the test or the one that gathers
records. A line that a kill tore, or that is malformed, is passed over. A second run writes on
behind the first; once one has come to its end and its results are in its file, the journal goes.
Two runs at once do not share a journal: the first owns it, and the second is refused.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantbench.core.jsons import MALFORMED, loads
from quantbench.errors import RecordError, UsageError
from quantbench.record.gathering import Gathered
from quantbench.record.schema import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from filelock import BaseFileLock

PARTIAL = ".partial"  # what the journal of out.json ends in
_DIED = "Died"
_LOCK = ".lock"


class Journal:
    """The journal beside a run's `--benchmark-json` file."""

    def __init__(self, path: Path) -> None:
        """Remember where it is; nothing is written yet."""
        self.path = path
        self.failure = ""
        self._lock: BaseFileLock | None = None

    @classmethod
    def beside(cls, output: Path) -> Journal:
        """`out.json.partial` of `out.json`."""
        return cls(output.with_name(output.name + PARTIAL))

    def own(self) -> None:
        """Keep other runs away from it as long as this one lives.

        The lock is a file beside the journal, which goes when it is released. A run that is killed
        leaves the file, and its lock with nobody. Where the disk knows no locks there is none.

        Raises:
            UsageError: another run has it now.
        """
        from filelock import FileLock, Timeout

        place = self.path.with_name(self.path.name + _LOCK)
        lock = FileLock(place, timeout=0)
        try:
            lock.acquire()
            while not place.exists():  # of a run that ended in between: a file of our own
                lock.release()
                lock.acquire()
        except Timeout as error:
            raise UsageError(
                "another run that is not over writes to the same file",
                where=self.path.with_name(self.path.name.removesuffix(PARTIAL)),
                remedy="wait until it ends, or name another file: --benchmark-json FILE",
            ) from error
        except (OSError, NotImplementedError):
            return
        self._lock = lock

    def release(self) -> None:
        """Let others have it."""
        if self._lock is not None:
            Path(self._lock.lock_file).unlink(missing_ok=True)
            self._lock.release()

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
