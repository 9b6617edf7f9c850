"""Where and with what a record was made."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from quantbench.core.requirements import canonical, extras, requirements
from quantbench.measure.processor import instruction_sets, processor_name

_NO_TOOLS = ("docs", "lint", "test")  # extras that change no number


def _packages() -> set[str]:
    """Distributions whose versions can change a number: what quantbench and its extras ask for."""
    asked = [*requirements()]
    for extra in extras():
        asked += requirements(extra) if extra not in _NO_TOOLS else []
    return {"quantbench", "pytest-xdist", *(canonical(each.name) for each in asked)}


def environment() -> dict[str, Any]:
    """Interpreter, machine, package versions and command line, as JSON."""
    versions = {
        canonical(name): distribution.version
        for distribution in distributions()
        if (name := distribution.metadata["Name"])
    }
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "instruction_sets": list(instruction_sets()),
        "packages": {name: versions[name] for name in sorted(_packages()) if name in versions},
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }
