"""A pass that fell when it was corrected for the gates of its run, told as a failed test.

That is known when all tests have run and have been reported: the test is reported once more, as
failed, to everybody who hears of reports, and whoever counts tests counts it once.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from quantbench.plugin.state import ATTRIBUTE

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

_FALLEN = (
    "its pass is taken back: corrected for the number of gates in this run (Holm), it is not "
    "certain enough; evaluate more samples, or judge each gate by itself with "
    "--quant-familywise none"
)


def take_back(
    config: pytest.Config, passed: pytest.TestReport, verdicts: Sequence[dict[str, Any]]
) -> None:
    """Report a test as failed that was reported as passed.

    Args:
        config: of the run.
        passed: the report of its call.
        verdicts: those of it that fell, as they stand in the record.
    """
    failed = copy.copy(passed)
    failed.outcome = "failed"
    failed.longrepr = "\n".join(f"{_said(verdict)}: {_FALLEN}" for verdict in verdicts)
    names = {f"quantbench.verdict.{verdict['metric']}" for verdict in verdicts}
    failed.user_properties = [
        (name, "inconclusive" if name in names else value) for name, value in passed.user_properties
    ]
    delattr(failed, ATTRIBUTE)  # what it found is known
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None and passed in terminal.stats.get("passed", ()):
        terminal.stats["passed"].remove(passed)
    config.hook.pytest_runtest_logreport(report=failed)
    _forget_pass(config, failed)


def _said(verdict: dict[str, Any]) -> str:
    return (
        f"{verdict['metric']}, margin {verdict['margin']:g}, p {verdict['p_value']:.3g}, "
        f"corrected {verdict['p_value_holm']:.3g}"
    )


def _forget_pass(config: pytest.Config, failed: pytest.TestReport) -> None:
    """Leave one test case in JUnit XML, where pytest's own writer has it twice now."""
    for plugin in config.pluginmanager.get_plugins():
        if type(plugin).__name__ != "LogXML" or not hasattr(plugin, "node_reporters_ordered"):
            continue
        *earlier, now = plugin.node_reporters_ordered
        for old in [each for each in earlier if _test_of(each) == _test_of(now)]:
            plugin.node_reporters_ordered.remove(old)
            plugin.stats["passed"] -= 1
        for name, value in failed.user_properties:
            now.add_property(name, str(value))


def _test_of(reporter: Any) -> tuple[str, str]:
    told = reporter.to_xml()
    return told.get("classname"), told.get("name")
