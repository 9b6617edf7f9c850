"""Keeps what frameworks say while they work out of the failure reports of a study's tests.

What a test itself prints and logs stays, and so do the warnings of everybody.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from quantbench.plugin.state import case_of

if TYPE_CHECKING:
    import pytest

_FRAMEWORKS = frozenset(
    (
        *("absl", "ai_edge_litert", "ai_edge_quantizer", "h5py", "jax", "keras", "litert_torch"),
        *("matplotlib", "numba", "onnx", "PIL", "tensorflow", "torch", "torchao"),
        *("accelerate", "bitsandbytes", "gptqmodel", "hqq", "tokenizers", "transformers"),
        *("asyncio", "datasets", "filelock", "fsspec", "httpcore", "httpx", "huggingface_hub"),
        *("kagglehub", "urllib3"),
    )
)
# Native code writes such as "I0000 00:00:1796007236.660649 13090 port.cc:153] Could not find ..."
_NATIVE = re.compile(
    r"[IW]\d{4} \d\d:\d\d:\S+ +\d+ \S+:\d+\] "
    r"|INFO: Created TensorFlow Lite"
    r"|WARNING: All log messages before absl::InitializeLog"
)


class _Frameworks(logging.Filter):
    """Lets through what is a warning or worse, or no framework's."""

    def filter(self, record: logging.LogRecord) -> bool:
        root = record.name.partition(".")[0]
        return record.levelno >= logging.WARNING or root not in _FRAMEWORKS


_FILTER = _Frameworks()


def quieten(item: pytest.Item) -> None:
    """Filter what pytest catches of the logs of this test, if it is one of a case."""
    for handler in logging.getLogger().handlers:
        if type(handler).__module__ != "_pytest.logging":
            continue
        if case_of(item) is not None:
            handler.addFilter(_FILTER)
        else:
            handler.removeFilter(_FILTER)


def without_native_lines(report: pytest.TestReport) -> None:
    """Take the lines of native code out of what was caught of the standard error."""
    sections = []
    for name, text in report.sections:
        if name.startswith("Captured stderr"):
            kept = [line for line in text.splitlines(keepends=True) if not _NATIVE.match(line)]
            text = "".join(kept)  # noqa: PLW2901 - the same text, shorter
            if not text.strip():
                continue
        sections.append((name, text))
    report.sections = sections
