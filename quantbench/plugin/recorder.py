"""Gathers records off test reports, judges them together, and writes them down."""

from __future__ import annotations

import io
import json
import os
import warnings
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import pytest

from quantbench.errors import RecordError
from quantbench.plugin.state import ATTRIBUTE, BENCH, JOURNAL, JOURNAL_INPUT, REFUSED, SETTINGS
from quantbench.plugin.taking_back import take_back

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from quantbench.record.journal import Unfinished

_WORKER_DIED = "???"  # xdist's word for the phase of a test in which a worker died


class Recorder:
    """Gathers the records off the reports and writes them, in the one process that writes.

    Each is in the journal as soon as it is here. What stands there of a run that did not come to
    its end is part of this one, but for the cases that this one records itself.
    """

    def __init__(self, config: pytest.Config) -> None:
        from quantbench.record.gathering import Gathered

        self._config = config
        self._journal = config.stash.get(JOURNAL, None)
        self._before: Unfinished | None = None
        self._begun = False
        self._gathered = Gathered()
        self._skipped: dict[str, str] = {}
        self._remarks: dict[str, list[str]] = {}  # tests of which each is said
        self._asked: dict[int, str] = {}  # the test that made a verdict, by the verdict's id
        self._passed: dict[str, pytest.TestReport] = {}
        self._written = False
        self._worker_died = False
        if self._journal is not None and self._journal.path.exists():
            from quantbench.record.journal import read_journal
            from quantbench.record.reading import read_document

            self._before = read_journal(self._journal.path)
            checked = read_document(self._journal.path)["records"]
            self._before.records = {record["case"]: record for record in checked}

    def pytest_report_header(self) -> str | None:
        """A test that ended the last run may end this one."""
        if self._before is None or self._journal is None:
            return None
        where = f" in {', '.join(self._before.running)}" if self._before.running else " early"
        return f"quantbench: the last run ended{where}; it goes on from {self._journal.path}"

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell an xdist worker where the journal is."""
        if self._journal is not None:
            self.begin()
            node.workerinput[JOURNAL_INPUT] = str(self._journal.path.absolute())

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """End the run with what an xdist worker refused."""
        if refused := getattr(node, "workeroutput", {}).get(REFUSED):
            raise pytest.UsageError(refused)

    def begin(self) -> None:
        """Note in the journal that a run begins, once there is one."""
        if self._begun or self._journal is None:
            return
        from quantbench.record.schema import SCHEMA

        self._begun = True
        self._journal.write(run=self._environment, schema=SCHEMA)
        if self._before is not None and not self._before.goes_with(self._environment, SCHEMA):
            self._before = None

    @cached_property
    def _environment(self) -> dict[str, Any]:
        from quantbench.record.environment import environment

        return environment()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in what a test found."""
        if report.when == _WORKER_DIED:
            self._add_died(report)
        text = getattr(report, ATTRIBUTE, None)
        if text is not None:
            found = json.loads(text)
            for entry in found["entries"]:
                self._add(entry, report.nodeid)
            if found.get("remark"):
                self._remarks.setdefault(found["remark"], []).append(report.nodeid)
        if report.when == "call" and report.passed:
            self._passed[report.nodeid] = report
        if self._begun and self._journal is not None and report.when in {"teardown", _WORKER_DIED}:
            self._journal.write(ends=report.nodeid)

    def _add(self, entry: dict[str, Any], test: str) -> None:
        """As it will stand in the journal; `test` is the one that reports it."""
        if "skipped" in entry:
            self._skipped[entry["case"]] = entry["skipped"]
        else:
            record, records = entry["record"], self._gathered.records
            self._gathered.add(record, entry["test"])
            for verdict in records[record["case"]]["verdicts"]:
                self._asked.setdefault(id(verdict), test)
        if self._begun and self._journal is not None:
            self._journal.write(**entry)

    def _add_died(self, report: pytest.TestReport) -> None:
        """The case that a worker died of; the journal knows which it was."""
        self._worker_died = True
        if self._journal is None or not self._begun:
            return
        from quantbench.record.journal import died, read_journal

        empty = read_journal(self._journal.path).running.get(report.nodeid)
        if empty is not None:
            entry = {"record": died(empty, str(report.longrepr)), "test": report.nodeid}
            self._add(entry, report.nodeid)

    def _all(self) -> dict[str, dict[str, Any]]:
        """The records of this run, and what it takes over."""
        return {**(self._before.records if self._before else {}), **self._gathered.records}

    @pytest.hookimpl(optionalhook=True)
    def pytest_benchmark_update_json(self, output_json: dict[str, Any]) -> None:
        """Put the records into pytest-benchmark's file."""
        output_json["quantbench"] = self._document()
        for timing in output_json["benchmarks"]:
            record = self._gathered.records.get(timing["extra_info"].get("case", ""))
            if record is not None:
                metrics = record["metrics"]
                judged = {verdict["metric"] for verdict in record["verdicts"]} or set(metrics)
                values = {name: metrics[name]["value"] for name in metrics if name in judged}
                timing["extra_info"] |= {"metrics": values, "artifact": record["artifact"]}
        self._written = True

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None]:
        """Judge the passes of the run together, before anybody writes them down."""
        settings = self._config.stash[SETTINGS]
        if settings.holm:
            self._judge_together(session)
        with warnings.catch_warnings():
            # pytest-benchmark's word for a run that timed nothing: the file is written below, and
            # where warnings are errors it would be lost.
            warnings.filterwarnings("ignore", message="Not saving anything")
            yield
        self._write_untimed()
        ended_well = session.exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}
        if self._journal is not None and (not self._all() or (self._written and ended_well)):
            self._journal.remove()
        if self._worker_died or session.exitstatus == pytest.ExitCode.INTERRUPTED:
            from quantbench.store.artifacts import Store, default_root

            Store(settings.cache or default_root()).sweep()

    def _judge_together(self, session: pytest.Session) -> None:
        """A pass that falls when it is corrected for this run's gates is a failed test.

        Cases that were taken over from a run before are no members of the family.
        """
        from quantbench.record.schema import judged_together

        records = self._gathered.records
        fallen: dict[str, list[dict[str, Any]]] = {}
        for _, verdict in judged_together(records.values()):
            fallen.setdefault(self._asked[id(verdict)], []).append(verdict)
        if not fallen or self._config.stash[SETTINGS].inconclusive_passes:
            return
        taken_back = {test: self._passed[test] for test in fallen if test in self._passed}
        if taken_back and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        for test, report in taken_back.items():
            take_back(self._config, report, fallen[test])

    def _write_untimed(self) -> None:
        """Write the file that pytest-benchmark leaves out when it timed nothing."""
        timings = getattr(self._config, "_benchmarksession", None)
        if timings is None or not timings.json or self._written:
            return
        if not self._gathered.records and not self._skipped:
            return
        hook = self._config.hook
        output = hook.pytest_benchmark_generate_json(
            config=self._config,
            benchmarks=[],
            include_data=True,
            machine_info=timings.get_machine_info(),
            commit_info=hook.pytest_benchmark_generate_commit_info(config=self._config),
        )
        output["quantbench"] = self._document()
        timings.save_json(output)
        self._written = True

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter, exitstatus: int
    ) -> None:
        """The tables, then what a reader of them must know."""
        interrupted = exitstatus == pytest.ExitCode.INTERRUPTED and (
            self._begun or BENCH in self._config.stash
        )
        if not self._gathered.records and not self._skipped and not interrupted:
            return
        from quantbench.report.terminal import coloured, summary

        terminalreporter.write_sep("=", "quantbench")
        records = list(self._all().values())
        timings = getattr(self._config, "_benchmarksession", None)
        alone = timings is not None and not (timings.disabled or timings.skip)
        if terminalreporter.isatty and terminalreporter.hasmarkup:
            coloured(records, self._left_out(), _console(terminalreporter), alone=alone)
        else:
            for line in summary(records, self._left_out(), alone=alone):
                terminalreporter.write_line(line)
        for remark, tests in self._remarks.items():
            terminalreporter.write_line(f"{', '.join(tests)}: {remark}")
        for line in self._outlasting(interrupted=interrupted):
            terminalreporter.write_line(line)
        if job_summary := os.environ.get("GITHUB_STEP_SUMMARY"):
            self._write_job_summary(Path(job_summary), terminalreporter)

    def _outlasting(self, *, interrupted: bool) -> Iterator[str]:
        """What came from a run before this one, and what stays for the next."""
        if taken_over := sorted(set(self._all()) - set(self._gathered.records)):
            yield f"recorded by the run before, which ended early: {', '.join(taken_over)}"
        if self._journal is not None and self._journal.failure:
            yield f"no journal was kept: {self._journal.failure}"
        if not interrupted:
            return
        from quantbench.store.evidence import SHARD

        kept = "no record is kept, for want of --benchmark-json FILE"
        if self._journal is not None:
            kept = f"cases recorded in {self._journal.path}: {len(self._all())}"
        yield f"interrupted; {kept}; what was built and evaluated stays in the cache,"
        yield f"evidence in shards of {SHARD} samples: run again, and it goes on from there"

    def _write_job_summary(self, path: Path, reporter: pytest.TerminalReporter) -> None:
        """The table as Markdown, where CI shows it beside the run."""
        from quantbench.report.checking import views_of
        from quantbench.report.exports import as_markdown
        from quantbench.report.reports import run_of

        document = self._document()
        try:
            text = as_markdown(views_of(document, "this run"), [run_of("this run", document)])
            with path.open("a", encoding="utf-8") as file:
                file.write(f"## quantbench\n\n{text}\n")
        except (OSError, RecordError) as error:
            reporter.write_line(f"quantbench: no job summary: {error}", red=True)

    def _document(self) -> dict[str, Any]:
        from quantbench.record.schema import document

        return document(self._all().values(), self._left_out(), self._environment)

    def _left_out(self) -> dict[str, str]:
        """Cases of which no test ran, with the reason."""
        skipped = {**(self._before.skipped if self._before else {}), **self._skipped}
        return {case: why for case, why in skipped.items() if case not in self._all()}


def _console(reporter: pytest.TerminalReporter) -> Any:
    """rich's, writing as pytest writes."""
    from rich.console import Console

    class Written(io.TextIOBase):
        def write(self, text: str) -> int:
            reporter.write(text, flush=True)
            return len(text)

    width = reporter.config.get_terminal_writer().fullwidth
    return Console(file=cast("IO[str]", Written()), force_terminal=reporter.hasmarkup, width=width)
