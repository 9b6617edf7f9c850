"""Commands show their own lines, and none of the frameworks'."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_SCRIPT = """
import logging, os, sys
from quantbench.cli.quiet import frameworks_quiet
try:
    with frameworks_quiet() as told:
        print("python says")
        os.write(1, b"native says\\n")
        os.write(2, b"native warns\\n")
        logging.basicConfig(stream=sys.stderr, level=logging.INFO)
        logging.info("logged inside")
        print("progress", file=told)
        {more}
except ValueError:
    print("failed")
logging.info("logged after")
print("result")
print("error", file=sys.stderr)
"""


def _ran(more: str) -> subprocess.CompletedProcess[str]:
    script = _SCRIPT.format(more=more)
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )


def test_only_own_lines_are_shown() -> None:
    ran = _ran("pass")
    assert ran.stdout == "result\n"
    assert ran.stderr == "progress\nerror\n"


def test_where_it_fails_the_rest_is_kept_in_a_file_that_is_named() -> None:
    ran = _ran("raise ValueError")
    assert ran.stdout == "failed\nresult\n"
    progress, named, error = ran.stderr.splitlines()
    assert (progress, error) == ("progress", "error")
    log = Path(named.removeprefix("what the frameworks printed: "))
    lines = log.read_text().splitlines()
    log.unlink()
    assert sorted(lines) == sorted(
        [
            *("python says", "native says", "native warns"),
            *("INFO:root:logged inside", "INFO:root:logged after"),
        ]
    )
