"""Where and with what a record was made."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

# The distributions whose versions can change a number.
_PACKAGES = (
    *("quantbench", "pytest", "pytest-benchmark", "pytest-xdist", "numpy", "numba", "hotcoco"),
    *("tensorflow", "keras", "ai-edge-litert", "ai-edge-quantizer", "litert-torch"),
    *("litert-converter", "scikit-learn", "pillow"),
    *(
        "torch",
        "scipy",
        "torchao",
        "hqq",
        "transformers",
        "tokenizers",
        "gguf",
        "gptqmodel",
        "bitsandbytes",
    ),
)


def environment() -> dict[str, Any]:
    """Interpreter, machine, package versions and command line, as JSON."""
    versions = {
        name.lower(): distribution.version
        for distribution in distributions()
        if (name := distribution.metadata["Name"])
    }
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "packages": {name: versions[name] for name in _PACKAGES if name in versions},
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
