"""The pytest face: options, markers, fixtures, terminal summary, JSON. No logic of its own.

Nothing heavy is imported until a fixture is used: loading this module costs pytest milliseconds.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import sys
import warnings
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import pytest

from quantbench.errors import (
    BuildError,
    OutOfReachError,
    PredictionError,
    QuantbenchError,
    RecordError,
    UsageError,
)
from quantbench.settings import OPTIONS, parse_settings
from quantbench.study import Case, Scheme

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from quantbench.evaluation import Evaluation
    from quantbench.pipeline import Bench
    from quantbench.progress import Progress
    from quantbench.protocols import Runner
    from quantbench.record.journal import Journal, Unfinished
    from quantbench.settings import Settings

_SETTINGS: pytest.StashKey[Settings] = pytest.StashKey()
_BENCH: pytest.StashKey[Bench] = pytest.StashKey()
_TERMINAL: pytest.StashKey[IO[str]] = pytest.StashKey()
_JOURNAL: pytest.StashKey[Journal] = pytest.StashKey()
_MARKERS = (
    "gpu: needs a CUDA device",
    "network: needs a package registry, hub or web server",
    "slow: takes more than a few seconds",
)
_JUDGED_BEFORE = pytest.StashKey[int]()  # verdicts that a test found already there
_FALLEN = (
    "its pass is not certain enough beside the others of this run (Holm), so the run is red; "
    "evaluate more samples, or judge each by itself with --quant-familywise none"
)
_UNDECIDED = "assert <inconclusive: "  # how pytest words the failing assertion on a verdict
_ATTRIBUTE = "quantbench"  # of a test report: its case's record, as JSON
_RECORDER = "quantbench-recorder"
_INPUT = "quantbench_journal"  # of an xdist worker: where the journal is
_WORKER_DIED = "???"  # xdist's word for the phase of a test in which a worker died


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--quant-NAME`, ini `quant_NAME`; the environment's `QUANTBENCH_NAME` stands between."""
    group = parser.getgroup("quantbench", "model quantization")
    for name, text in OPTIONS.items():
        group.addoption(f"--quant-{name}", metavar=name.upper(), help=text)
        parser.addini(f"quant_{name}", text, type="string", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse bad options before any work."""
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)
    try:
        config.stash[_SETTINGS] = parse_settings(
            {name: config.getoption(f"quant_{name}") for name in OPTIONS},
            {name: config.getini(f"quant_{name}") for name in OPTIONS},
            os.environ,
        )
        if (baseline := config.stash[_SETTINGS].baseline) is not None:
            from quantbench.record.baseline import read_baseline

            read_baseline(baseline)
        if (journal := _journal(config)) is not None:
            config.stash[_JOURNAL] = journal
        if not hasattr(config, "workerinput"):  # xdist's workers send their reports here
            config.pluginmanager.register(_Recorder(config), _RECORDER)
    except (UsageError, RecordError) as error:
        raise pytest.UsageError(str(error)) from error
    if not hasattr(config, "workerinput") and sys.stdout.isatty():
        # While a test runs, what pytest itself writes is captured too.
        terminal = os.fdopen(os.dup(sys.stdout.fileno()), "w")
        config.stash[_TERMINAL] = terminal
        config.add_cleanup(terminal.close)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the chosen schemes, and bring the tests of one case together.

    A model is opened once for all tests of its case that stand in one class or module.
    """
    schemes = config.stash[_SETTINGS].schemes
    if schemes is not None:
        _check_known(schemes, {case.scheme.name for item in items if (case := _case_of(item))})
        out = [i for i in items if (case := _case_of(i)) and case.scheme.name not in schemes]
        items[:] = [item for item in items if item not in set(out)]
        if out:
            config.hook.pytest_deselected(items=out)
    found = {case for item in items if (case := _case_of(item))}
    _check_distinct(found)
    _check_devices(found)
    for item in items:
        case = _case_of(item)
        if case is not None and case.device == "cuda":
            item.add_marker(pytest.mark.gpu)
        if case is not None and case.expected == "error":
            broken = (BuildError, PredictionError)
            item.add_marker(pytest.mark.xfail(strict=True, raises=broken, reason=case.reason))
    ordered: list[pytest.Item] = []
    for _, group in itertools.groupby(items, key=lambda item: item.parent):
        together = list(group)
        order: dict[Case | None, int] = {}
        for item in together:
            order.setdefault(_case_of(item), len(order))
        ordered += sorted(together, key=lambda item: order[_case_of(item)])
    items[:] = ordered


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests marked `gpu` where there is none."""
    if item.get_closest_marker("gpu"):
        from quantbench.predict.devices import require_cuda

        _within_reach(item.config, require_cuda)


@pytest.fixture(scope="session")
def _bench(pytestconfig: pytest.Config) -> Generator[Bench]:
    if "PYTEST_XDIST_WORKER" in os.environ:
        # Read when a framework loads. Threads that spin while they wait starve the other
        # workers'; alone they must spin: waking them doubled the latency of a 135M model here.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from quantbench.pipeline import Bench

    bench = Bench(pytestconfig.stash[_SETTINGS], _progress(pytestconfig))
    pytestconfig.stash[_BENCH] = bench
    yield bench
    bench.close()


@pytest.fixture
def case() -> Case:
    """The case under test; tests say which by `parametrize("case", cases(...), ids=str)`."""
    raise pytest.UsageError(
        "a test that uses quantbench's fixtures needs "
        '@pytest.mark.parametrize("case", cases("MODEL"), ids=str)'
    )


@pytest.fixture
def sample(case: Case, _bench: Bench, pytestconfig: pytest.Config) -> Any:
    """The case's first evaluation sample, prepared for the model."""
    return _within_reach(pytestconfig, lambda: _bench.sample(case))


@pytest.fixture
def quantized(
    case: Case, sample: Any, _bench: Bench, pytestconfig: pytest.Config
) -> Generator[Runner]:
    """The opened artifact, warmed up on `sample`: the first timed round is like the others."""
    with ExitStack() as held:
        lend = _bench.warmed(case, sample)
        runner: Runner = _within_reach(pytestconfig, lambda: held.enter_context(lend))
        yield runner


@pytest.fixture
def decoding(case: Case, quantized: Runner, sample: Any) -> Callable[[], None]:
    """A call that says the next tokens after `sample`, for `benchmark(decoding)`."""
    decoder = getattr(quantized, "decoder", None)
    if decoder is None:
        raise UsageError(f"{case} has a runner that does not generate", expected="a language model")
    decode: Callable[[], None] = decoder(sample)
    decode()  # warmed up
    return decode


@pytest.fixture
def evaluation(
    case: Case, _bench: Bench, pytestconfig: pytest.Config, request: pytest.FixtureRequest
) -> Evaluation:
    """The case's evidence and estimates. A declared collapse becomes a strict xfail here."""
    if case.expected == "fail":
        mark = pytest.mark.xfail(strict=True, raises=AssertionError, reason=case.reason)
        request.node.add_marker(mark)
    evaluated: Evaluation = _within_reach(pytestconfig, lambda: _bench.evaluate(case))
    request.node.stash[_JUDGED_BEFORE] = len(evaluated.verdicts)
    return evaluated


@pytest.fixture
def reference(case: Case, _bench: Bench, pytestconfig: pytest.Config) -> Evaluation:
    """The evaluation of the float case that this one is judged against.

    Both gain the metrics of agreement, which need no labels.
    """
    evaluated: Evaluation = _within_reach(pytestconfig, lambda: _bench.reference(case))
    return evaluated


@pytest.fixture
def record(case: Case, _bench: Bench) -> dict[str, Any]:
    """What is known of the case so far, as it will stand in the JSON file."""
    return _bench.record(case)


def _progress(config: pytest.Config) -> Progress | None:
    """Lines about long work between pytest's dots, on a terminal only."""
    terminal = config.stash.get(_TERMINAL, None)
    if terminal is None:
        return None
    from rich.console import Console

    from quantbench.report.progress import TerminalProgress

    console = Console(file=terminal, width=config.get_terminal_writer().fullwidth)
    return TerminalProgress(console, lambda: print(file=terminal))


def _journal(config: pytest.Config) -> Journal | None:
    """Of the file that records go to; workers are told by the process that writes it."""
    output = config.getoption("benchmark_json", None)
    path = getattr(config, "workerinput", {}).get(_INPUT)
    if output is None and path is None:
        return None
    if path is None and not output.parent.is_dir():
        raise UsageError("--benchmark-json names a file in no folder", got=output.absolute())
    from quantbench.record.journal import Journal

    return Journal(Path(path)) if path else Journal.beside(output)


def _console(reporter: pytest.TerminalReporter) -> Any:
    """rich's, writing as pytest writes."""
    from rich.console import Console

    class Written(io.TextIOBase):
        def write(self, text: str) -> int:
            reporter.write(text, flush=True)
            return len(text)

    width = reporter.config.get_terminal_writer().fullwidth
    return Console(file=cast("IO[str]", Written()), force_terminal=reporter.hasmarkup, width=width)


def _check_distinct(found: set[Case]) -> None:
    """Two cases of one name would be one record."""
    named: dict[str, Case] = {}
    for case in found:
        other = named.setdefault(str(case), case)
        if (other.model, other.scheme, other.dataset) != (case.model, case.scheme, case.dataset):
            raise pytest.UsageError(
                f"two different cases are named {case}: give one of their models, schemes or "
                "data sets another name"
            )


def _check_devices(found: set[Case]) -> None:
    """Refuse what its runner cannot run, before any work; of the processor it is asked later."""
    elsewhere = [case for case in found if case.device != "cpu"]
    if not elsewhere:
        return
    from quantbench.predict.devices import runner_for

    for case in sorted(elsewhere, key=str):
        try:
            runner_for(case)
        except OutOfReachError:
            continue  # its tests are skipped
        except UsageError as error:
            raise pytest.UsageError(str(error)) from error


def _check_known(schemes: frozenset[str], collected: set[str]) -> None:
    for scheme in schemes - collected:
        try:
            Scheme.parse(scheme)  # of a study that was not collected
        except UsageError as error:
            known = ", ".join(sorted(collected))
            raise pytest.UsageError(f"--quant-schemes: {error}\n  collected: {known}") from error


def _within_reach(config: pytest.Config, work: Callable[[], Any]) -> Any:
    """Do the work; what this machine lacks is a skip, unless `QUANTBENCH_REQUIRE` names it."""
    try:
        return work()
    except OutOfReachError as error:
        if error.requirement in config.stash[_SETTINGS].required:
            raise
        return pytest.skip("; ".join(" ".join(line.split()) for line in str(error).splitlines()))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Hang the case's record on the report: reports travel between xdist processes."""
    report = yield
    case = _case_of(item)
    if case is None or _BENCH not in item.config.stash:
        return report
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
        left_out = {"case": str(case), "skipped": reason.removeprefix("Skipped: ")}
        setattr(report, _ATTRIBUTE, json.dumps(left_out))
        return report
    if call.when != "call" and not call.excinfo:
        return report  # a setup or teardown that went well says nothing new
    from quantbench.report.terminal import verdict_block

    bench, settings = item.config.stash[_BENCH], item.config.stash[_SETTINGS]
    record = bench.record(case)
    declared = hasattr(report, "wasxfail") and report.skipped
    raised = call.excinfo and not call.excinfo.errisinstance(AssertionError)
    if call.excinfo and raised and (report.failed or declared):
        kind = call.excinfo.type.__name__
        record["error"] = {"stage": call.when, "type": kind, "message": str(call.excinfo.value)}
    record = _with_timing(record, bench, case, getattr(item, "funcargs", {}))
    new = record["verdicts"][item.stash.get(_JUDGED_BEFORE, 0) :]
    outcomes = [verdict["outcome"] for verdict in new]
    if declared and case.expected == "fail" and "fail" not in outcomes:
        # A declared failure must be shown, not just not refuted.
        said = f"its verdict is {outcomes[-1]}" if outcomes else "it was not judged"
        report.outcome = "failed"
        report.longrepr = f"{case} is declared to fail, but {said}"
        del report.wasxfail
    undecided = call.when == "call" and call.excinfo and _UNDECIDED in str(call.excinfo.value)
    if report.failed and undecided and settings.inconclusive_passes:
        report.outcome, report.longrepr = "passed", None
    if report.failed and record["verdicts"]:
        report.sections.append(("quantbench", verdict_block(record)))
    if settings.diagnose != "off" and "fail" in outcomes:
        record["diagnosis"], said = _diagnosed(bench, case, alone=settings.diagnose == "full")
        report.sections.append(("quantbench: why", said))
    setattr(report, _ATTRIBUTE, json.dumps(record, allow_nan=False))
    return report


def _diagnosed(bench: Bench, case: Case, *, alone: bool) -> tuple[Any, str]:
    """The diagnosis for the record, and what is printed; what stops it is printed too."""
    from quantbench.report.terminal import diagnosis_block

    try:
        found = bench.diagnose(case, alone=alone)
    except QuantbenchError as error:  # the verdict stands without it
        return None, f"no diagnosis: {error}"
    return found, "\n".join(diagnosis_block(found))


def pytest_runtest_call(item: pytest.Item) -> None:
    """Name the case in pytest-benchmark's own record of the timing."""
    case = _case_of(item)
    timing = getattr(item, "funcargs", {}).get("benchmark")
    if case is not None and timing is not None:
        timing.extra_info["case"] = str(case)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> None:
    """Note which test of which case begins, in the process that may die in it."""
    case = _case_of(item)
    if case is None or _JOURNAL not in item.config.stash:
        return
    from quantbench.record.schema import empty_record

    if (recorder := item.config.pluginmanager.get_plugin(_RECORDER)) is not None:
        recorder.begin()
    item.config.stash[_JOURNAL].write(begins=item.nodeid, record=empty_record(case))


class _Recorder:
    """Gathers the records off the reports and writes them, in the one process that writes.

    Each is in the journal as soon as it is here. What stands there of a run that did not come to
    its end is part of this one, but for the cases that this one records itself.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._journal = config.stash.get(_JOURNAL, None)
        self._before: Unfinished | None = None
        self._begun = False
        self._records: dict[str, dict[str, Any]] = {}
        self._skipped: dict[str, str] = {}
        self._fallen: list[str] = []
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
        if self._journal is not None:
            self.begin()
            node.workerinput[_INPUT] = str(self._journal.path.absolute())

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
        if report.when == _WORKER_DIED:
            self._add_died(report)
        text = getattr(report, _ATTRIBUTE, None)
        if text is not None:
            self._add(json.loads(text))
        if self._begun and self._journal is not None and report.when in {"teardown", _WORKER_DIED}:
            self._journal.write(ends=report.nodeid)

    def _add(self, record: dict[str, Any]) -> None:
        from quantbench.record.schema import merged

        if "skipped" in record:
            self._skipped[record["case"]] = record["skipped"]
        else:
            known = self._records.get(record["case"])
            self._records[record["case"]] = merged(known, record) if known else record
        if self._begun and self._journal is not None:
            self._journal.write(**record if "skipped" in record else {"record": record})

    def _add_died(self, report: pytest.TestReport) -> None:
        """The case that a worker died of; the journal knows which it was."""
        self._worker_died = True
        if self._journal is None or not self._begun:
            return
        from quantbench.record.journal import died, read_journal

        empty = read_journal(self._journal.path).running.get(report.nodeid)
        if empty is not None:
            self._add(died(empty, str(report.longrepr)))

    def _all(self) -> dict[str, dict[str, Any]]:
        """The records of this run, and what it takes over."""
        return {**(self._before.records if self._before else {}), **self._records}

    @pytest.hookimpl(optionalhook=True)
    def pytest_benchmark_update_json(self, output_json: dict[str, Any]) -> None:
        output_json["quantbench"] = self._document()
        for timing in output_json["benchmarks"]:
            record = self._records.get(timing["extra_info"].get("case", ""))
            if record is not None:
                metrics = record["metrics"]
                judged = {verdict["metric"] for verdict in record["verdicts"]} or set(metrics)
                values = {name: metrics[name]["value"] for name in metrics if name in judged}
                timing["extra_info"] |= {"metrics": values, "artifact": record["artifact"]}
        self._written = True

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None]:
        """Judge the passes of the run together, before anybody writes them down."""
        from quantbench.record.schema import judged_together

        settings = self._config.stash[_SETTINGS]
        if settings.holm and self._records:
            self._fallen = judged_together(list(self._all().values()))
            if self._fallen and not settings.inconclusive_passes and session.exitstatus == 0:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED
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
            from quantbench.artifacts import Store, default_root

            Store(settings.cache or default_root()).sweep()

    def _write_untimed(self) -> None:
        """Write the file that pytest-benchmark leaves out when it timed nothing."""
        timings = getattr(self._config, "_benchmarksession", None)
        if timings is None or not timings.json or self._written:
            return
        if not self._records and not self._skipped:
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
        interrupted = exitstatus == pytest.ExitCode.INTERRUPTED and (
            self._begun or _BENCH in self._config.stash
        )
        if not self._records and not self._skipped and not interrupted:
            return
        from quantbench.report.terminal import coloured, summary

        terminalreporter.write_sep("=", "quantbench")
        records = list(self._all().values())
        if terminalreporter.isatty and terminalreporter.hasmarkup:
            coloured(records, self._left_out(), _console(terminalreporter))
        else:
            for line in summary(records, self._left_out()):
                terminalreporter.write_line(line)
        for case in self._fallen:
            terminalreporter.write_line(f"{case}: {_FALLEN}", red=True)
        for line in self._outlasting(interrupted=interrupted):
            terminalreporter.write_line(line)
        if job_summary := os.environ.get("GITHUB_STEP_SUMMARY"):
            self._write_job_summary(Path(job_summary), terminalreporter)

    def _outlasting(self, *, interrupted: bool) -> Iterator[str]:
        """What came from a run before this one, and what stays for the next."""
        if taken_over := sorted(set(self._all()) - set(self._records)):
            yield f"recorded by the run before, which ended early: {', '.join(taken_over)}"
        if self._journal is not None and self._journal.failure:
            yield f"no journal was kept: {self._journal.failure}"
        if not interrupted:
            return
        from quantbench.evidence import SHARD

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


def _case_of(item: pytest.Item) -> Case | None:
    callspec = getattr(item, "callspec", None)
    case = callspec.params.get("case") if callspec else None
    return case if isinstance(case, Case) else None


def _with_timing(
    record: dict[str, Any], bench: Bench, case: Case, funcargs: dict[str, Any]
) -> dict[str, Any]:
    """The record with what the test timed, if it timed the case's runner."""
    from quantbench.record.schema import with_decoding, with_latency

    timing = _timing(funcargs)
    if timing is None:
        return record
    if "decoding" in funcargs:
        return with_decoding(record, timing, funcargs["decoding"].tokens)
    bench.timed(case, timing.data)
    return with_latency(record, timing, funcargs["sample"], funcargs["quantized"].facts())


def _timing(funcargs: dict[str, Any]) -> Any:
    """pytest-benchmark's statistics of the case's runner; None where nothing was timed."""
    timing = funcargs.get("benchmark")
    if timing is None or not timing.stats or not {"quantized", "sample"} <= set(funcargs):
        return None
    return timing.stats.stats
