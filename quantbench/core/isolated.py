"""Run a function in another process: what crashes there is an error here.

Libraries written in C++ believe files that Python code would check: a bent one ends the process,
takes all memory, or never returns.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from quantbench import errors
from quantbench.errors import PredictionError, QuantbenchError

_EXPLAINED = 3  # the child's exit status when it raised an error of quantbench's tree
_CODE = "import sys; from quantbench.core.isolated import _call; _call(*sys.argv[1:])"


def run_isolated(function: str, path: Path, room_bytes: int, seconds: float) -> None:
    """Call `module:function` with a path, in a child process.

    Args:
        function: takes the path; what it returns is dropped.
        path: of a file from outside.
        room_bytes: memory that the child may take (on Linux).
        seconds: until it is ended.

    Raises:
        QuantbenchError: what the function raised.
        PredictionError: the child died, or did not end.
    """
    command = [sys.executable, "-P", "-c", _CODE, function, str(path), str(room_bytes)]
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter, without a shell
            command, capture_output=True, text=True, errors="replace", check=False,
            stdin=subprocess.DEVNULL, timeout=seconds,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise _refused(path, f"no end within {seconds:g} s") from error
    if done.returncode == _EXPLAINED:
        kind, text = json.loads(done.stdout.splitlines()[-1])
        raise getattr(errors, kind)(text)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["nothing said"]
        said += [line for line in said if "ASSERT" in line][
            :1
        ]  # a debugger may have spoken after it
        how = f"exit status {done.returncode}"
        with suppress(ValueError):
            how = signal.Signals(-done.returncode).name
        raise _refused(path, f"{how} ({said[-1][:300]})")


def _refused(path: Path, how: str) -> PredictionError:
    return PredictionError(
        "the file ends the process that opens it",
        where=path,
        expected="a model that runs once on noise",
        got=how,
        remedy="do not use it: it is broken, or made to break what reads it; export it again "
        "from its source",
    )


def _call(function: str, path: str, room_bytes: str) -> None:
    """In the child: run it within its room, and hand an error over."""
    if sys.platform == "linux":
        import resource

        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        room = taken + int(room_bytes)
        resource.setrlimit(resource.RLIMIT_AS, (room, room))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    module, _, name = function.partition(":")
    try:
        getattr(import_module(module), name)(Path(path))
    except QuantbenchError as error:
        print(json.dumps([type(error).__name__, str(error)]))  # noqa: T201 - to the parent
        sys.exit(_EXPLAINED)
