"""What a test's verdicts and errors make of its report."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from quantbench.errors import QuantbenchError
from quantbench.plugin.state import ATTRIBUTE, BENCH, JUDGED_BEFORE, SETTINGS, case_of
from quantbench.plugin.timing import with_timing

if TYPE_CHECKING:
    import pytest

    from quantbench.pipeline import Bench
    from quantbench.study import Case

_UNDECIDED = "assert <inconclusive: "  # how pytest words the failing assertion on a verdict


def with_record(
    item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport
) -> pytest.TestReport:
    """The report with the record of its case, if it has one."""
    case = case_of(item)
    if case is None or BENCH not in item.config.stash:
        return report
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
        left_out = {"case": str(case), "skipped": reason.removeprefix("Skipped: ")}
        setattr(report, ATTRIBUTE, json.dumps(left_out))
        return report
    if call.when != "call" and not call.excinfo:
        return report  # a setup or teardown that went well says nothing new
    from quantbench.report.terminal import verdict_block

    bench, settings = item.config.stash[BENCH], item.config.stash[SETTINGS]
    record = bench.record(case)
    declared = hasattr(report, "wasxfail") and report.skipped
    raised = call.excinfo and not call.excinfo.errisinstance(AssertionError)
    if call.excinfo and raised and (report.failed or declared):
        kind = call.excinfo.type.__name__
        record["error"] = {"stage": call.when, "type": kind, "message": str(call.excinfo.value)}
    record = with_timing(record, bench, case, getattr(item, "funcargs", {}))
    new = record["verdicts"][item.stash.get(JUDGED_BEFORE, 0) :]
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
    setattr(report, ATTRIBUTE, json.dumps(record, allow_nan=False))
    return report


def _diagnosed(bench: Bench, case: Case, *, alone: bool) -> tuple[Any, str]:
    """The diagnosis for the record, and what is printed; what stops it is printed too."""
    from quantbench.report.terminal import diagnosis_block

    try:
        found = bench.diagnose(case, alone=alone)
    except QuantbenchError as error:  # the verdict stands without it
        return None, f"no diagnosis: {error}"
    return found, "\n".join(diagnosis_block(found))
