"""What a test's verdicts and errors make of its outcome and of its report.

Every verdict that a test makes decides it, whether or not the test asserts it. A test that goes on
past one that is no pass fails when it ends, with a message of its own, unless the verdict is
accepted (`Verdict.accepted`) or the test is marked `xfail`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from quantbench.errors import QuantbenchError
from quantbench.plugin.quiet import without_native_lines
from quantbench.plugin.state import ATTRIBUTE, BENCH, HEARD, RESULTS, SETTINGS, case_of
from quantbench.plugin.timing import not_recorded, with_timing

if TYPE_CHECKING:
    from collections.abc import Generator

    from quantbench.run.results import Results
    from quantbench.run.session import Session
    from quantbench.stats.gates import Verdict
    from quantbench.study import Case

_BEFORE = pytest.StashKey[int]()  # verdicts on cases that a test found already there
_LOOK = (
    "a verdict decides its test, whether or not it is asserted: assert it, declare it "
    "(known_failures=, or pytest.mark.xfail), or look with evaluation.estimate(metric)"
)


class UnacceptedError(AssertionError):
    """A test went on past a verdict that it may not pass with."""


def begin(item: pytest.Item) -> None:
    """Note which verdicts are there already. Run again, a test keeps those of its first try."""
    item.stash.setdefault(_BEFORE, len(_of_session(item)))


def judge(item: pytest.Item) -> Generator[None, object, object]:
    """Run the test, and hold it to the verdicts that it made.

    Raises:
        UnacceptedError: one is no pass, and the test raised nothing of its own; or a declared
            failure did not show.
    """
    __tracebackhide__ = True
    try:
        result = yield
    except (AssertionError, pytest.skip.Exception) as error:
        wrong = _not_as_declared(item)
        if isinstance(error, pytest.skip.Exception):
            wrong = wrong or _unaccepted(item)
        if wrong:
            raise UnacceptedError(wrong) from error
        raise
    finally:
        _name_verdicts(item)
    if wrong := _unaccepted(item) or _not_as_declared(item):
        raise UnacceptedError(wrong)
    if (case := case_of(item)) and _declared(item):
        pytest.xfail(case.reason)  # does nothing under --runxfail
        raise UnacceptedError(f"a declared failure: {'; '.join(map(repr, _declared(item)))}")
    return result


def _of_session(item: pytest.Item) -> list[Verdict]:
    """On all cases so far, in the order in which they were made."""
    return item.config.stash[BENCH].verdicts if BENCH in item.config.stash else []


def _made(item: pytest.Item) -> list[Verdict]:
    """The verdicts of this test: on cases, and on the files that it has read."""
    of_files = [verdict for _, verdict in item.stash.get(HEARD, [])]
    return [*_of_session(item)[item.stash.get(_BEFORE, 0) :], *of_files]


def _declared(item: pytest.Item) -> list[Verdict]:
    """Those of this test that the study declares to be failures."""
    case = case_of(item)
    return [
        verdict
        for verdict in _made(item)
        if case is not None
        and (verdict.case, verdict.against) == (str(case), "reference")
        and case.expects(verdict.gate.metric) == "fail"
    ]


def _unaccepted(item: pytest.Item) -> str:
    declared = _declared(item)
    wrong = [repr(each) for each in _made(item) if not each and each not in declared]
    return "\n".join(["this test went on past", *wrong, _LOOK]) if wrong else ""


def _not_as_declared(item: pytest.Item) -> str:
    """A declared failure must be shown, not just not refuted."""
    case, declared = case_of(item), _declared(item)
    if case is None or case.expected != "fail":
        return ""
    for verdict in declared:
        if verdict.outcome != "fail":
            on = f" on {verdict.gate.metric}" if case.metrics else ""
            return f"{case} is declared to fail{on}, but its verdict is {verdict.outcome}"
    if not declared and not case.metrics and "evaluation" in getattr(item, "funcargs", {}):
        return f"{case} is declared to fail, but it was not judged"
    return ""


def _name_verdicts(item: pytest.Item) -> None:
    """As properties of the test, for JUnit XML."""
    for verdict in _made(item):
        against = "" if verdict.against == "reference" else f".{verdict.against}"
        named = (f"quantbench.verdict.{verdict.gate.metric}{against}", verdict.outcome)
        if named not in item.user_properties:
            item.user_properties.append(named)


def with_record(
    item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport
) -> pytest.TestReport:
    """The report with the record of its case, if it has one."""
    if call.excinfo and call.excinfo.errisinstance(UnacceptedError) and report.failed:
        report.longrepr = str(call.excinfo.value)
    case = case_of(item)
    if call.when == "call" and RESULTS in item.stash:
        setattr(report, ATTRIBUTE, json.dumps({"entries": _of_files(item)}, allow_nan=False))
        return report
    if case is None or BENCH not in item.config.stash:
        return report
    without_native_lines(report)
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
        left_out = {"case": str(case), "skipped": reason.removeprefix("Skipped: ")}
        setattr(report, ATTRIBUTE, json.dumps({"entries": [left_out]}))
        return report
    if call.when != "call" and not call.excinfo:
        return report  # a setup or teardown that went well says nothing new
    from quantbench.record.recording import record_of
    from quantbench.report.terminal import verdict_block

    bench, settings = item.config.stash[BENCH], item.config.stash[SETTINGS]
    record = {**record_of(bench, case), "error": _error(call, report)}
    funcargs = getattr(item, "funcargs", {})
    record = with_timing(record, bench, case, funcargs)
    if report.failed and record["error"] and case.expected == "error":
        report.sections.append(("quantbench", _not_meant(case)))
    if report.failed and record["verdicts"]:
        report.sections.append(("quantbench", verdict_block(record)))
    failed = any(verdict.outcome == "fail" for verdict in _made(item))
    if settings.diagnose != "off" and failed and call.when == "call":
        record["diagnosis"], said = _diagnosed(bench, case, alone=settings.diagnose == "full")
        report.sections.append(("quantbench: why", said))
    if settings.diagnose != "off" and call.when == "call" and _is_slower(bench, case):
        record["speed"], said = _timed_by_op(bench, case)
        report.sections.append(("quantbench: why slower", said))
    ended = call.when == "call" or record["error"]
    found = {
        "entries": [{"record": record, "test": item.nodeid if ended else ""}],
        "remark": not_recorded(funcargs) if call.when == "call" else "",
    }
    setattr(report, ATTRIBUTE, json.dumps(found, allow_nan=False))
    return report


def _of_files(item: pytest.Item) -> list[dict[str, Any]]:
    """A record for each file of results, as `quantbench judge` writes them."""
    from quantbench.judge.documents import records_of

    read: list[Results] = item.stash[RESULTS]
    heard: list[tuple[Results, Verdict]] = item.stash.setdefault(HEARD, [])
    records = records_of(read, heard)
    return [{"record": record, "test": item.nodeid} for record in records]


def _error(call: pytest.CallInfo[None], report: pytest.TestReport) -> dict[str, Any] | None:
    """What broke in this phase; a failed assertion is none, nor is a test that failed as it may."""
    declared = hasattr(report, "wasxfail") and report.skipped
    if call.excinfo is None or not (report.failed or declared):
        return None
    if call.excinfo.errisinstance((AssertionError, pytest.xfail.Exception)):
        return None
    kind = call.excinfo.type.__name__
    message = str(call.excinfo.value)
    return {"stage": call.when, "type": kind, "message": message, "declared": declared}


def _not_meant(case: Case) -> str:
    matching = f" whose message matches {case.match!r}" if case.match else ""
    return (
        f"{case} is declared to break: {case.reason}\nThis is not that error: a declared one is a "
        f"BuildError or PredictionError{matching}, and never memory that ran out."
    )


def _diagnosed(bench: Session, case: Case, *, alone: bool) -> tuple[Any, str]:
    """The diagnosis for the record, and what is printed; what stops it is printed too."""
    from quantbench.report.terminal import diagnosis_block

    try:
        found = bench.diagnose(case, alone=alone)
    except QuantbenchError as error:  # the verdict stands without it
        return None, f"no diagnosis: {error}"
    return found, "\n".join(diagnosis_block(found))


def _is_slower(bench: Session, case: Case) -> bool:
    """Whether the rounds of this run say so, and nothing has looked into it yet."""
    if case.is_reference or not case.model.reference or case in bench.speeds:
        return False
    before, now = (bench.median_s(each) for each in (case.reference, case))
    return before is not None and now is not None and now > before


def _timed_by_op(bench: Session, case: Case) -> tuple[Any, str]:
    """As `_diagnosed`, of its speed."""
    from quantbench.report.speed import speed_block, speed_of

    try:
        found = bench.diagnose_speed(case)
    except QuantbenchError as error:
        return None, f"no diagnosis: {error}"
    return found, "\n".join(speed_block(speed_of(found)))
