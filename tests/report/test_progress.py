"""Progress on a terminal: late, with rate and time left, and gone when the work is done."""

from __future__ import annotations

import io
import time
from typing import Any

import pytest
from rich.console import Console

from quantbench.core.progress import Silent, Steps
from quantbench.report import progress
from quantbench.report.progress import StageLines, TerminalProgress


def console() -> tuple[Any, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, force_terminal=True, width=100), file


def test_short_work_is_not_mentioned() -> None:
    screen, file = console()
    with TerminalProgress(screen).working("building", 3) as advance:
        advance(3)
    assert file.getvalue() == ""


def test_long_work_shows_count_rate_and_time_left(monkeypatch: Any) -> None:
    monkeypatch.setattr(progress, "_SHORT_S", 0.01)
    screen, file = console()
    begun = []
    watched = TerminalProgress(screen, lambda: begun.append(1))
    with watched.working("evaluating [red]x", 100) as advance:
        time.sleep(0.05)
        advance(40)
        with watched.working("summing up"):
            time.sleep(0.3)
    text = file.getvalue()
    assert "evaluating [red]x: 40 of 100" in text
    assert "/s, 0:0" in text
    assert "left" in text
    assert "summing up: 0:00" in text
    assert begun == [1]
    assert text.rstrip("\r").endswith("\x1b[2K\x1b[?25h")  # wiped, and the cursor is back


def _broken_off(watched: TerminalProgress) -> None:
    with watched.working("building"):
        time.sleep(0.05)
        _ = 1 / 0


def test_an_error_ends_the_lines(monkeypatch: Any) -> None:
    monkeypatch.setattr(progress, "_SHORT_S", 0.0)
    screen, file = console()
    watched = TerminalProgress(screen)
    with pytest.raises(ZeroDivisionError):
        _broken_off(watched)
    before = file.getvalue()
    time.sleep(0.2)
    assert "building" in before
    assert file.getvalue() == before


def test_where_nobody_watches_nothing_happens() -> None:
    with Silent().working("building", 3) as advance:
        advance(3)


def test_off_a_terminal_each_long_stage_has_a_line_and_one_when_it_is_done() -> None:
    said: list[str] = []
    lines = StageLines(said.append)
    with Steps(lines, "mending x") as step:
        step("rule by rule", 3)(1)
        time.sleep(0.7)
        step("at once", 2)(2)
    with lines.working("fetching"):
        time.sleep(0.7)
    assert said == [
        "mending x: rule by rule, 3 parts ...",
        "mending x: rule by rule: 0:00",
        "fetching ...",
        "fetching: 0:00",
    ]
