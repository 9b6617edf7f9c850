"""Names become implementations, and a missing package becomes the command that installs it."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from quantbench.errors import UsageError
from quantbench.extensions import load, missing_extra

GROUPS = ("importers", "quantizers", "runners", "tasks")


def test_an_unknown_name_lists_what_is_registered() -> None:
    with pytest.raises(UsageError, match="gptq_mixed, hqq, litert, mended, reference"):
        load("quantizers", "onnx")


@pytest.mark.parametrize(
    ("group", "name"),
    [(g, p.name) for g in GROUPS for p in entry_points(group=f"quantbench.{g}")],
)
def test_every_tool_of_every_part_is_brought_by_an_extra(group: str, name: str) -> None:
    for tool in getattr(load(group, name), "tools", ()):
        lack = missing_extra(tool)
        assert lack is not None, tool
        assert 'pip install "quantbench[' in str(lack)


def test_a_package_that_no_extra_brings_is_no_missing_extra() -> None:
    assert missing_extra("a_private_module") is None
    assert missing_extra(None) is None


@pytest.mark.parametrize(
    ("wanted", "lacking"),
    [
        (
            "tasks.last_word predict.causal_lm quantize.gptq quantize.reference quantize.hqq",
            "numba PIL tensorflow keras ai_edge_litert hotcoco sklearn",
        ),
        (
            "tasks.detection predict.litert quantize.litert quantize.aeq catalog.digits.network",
            "gptqmodel bitsandbytes datasets gguf hqq torchao",
        ),
    ],
)
def test_one_extra_serves_without_the_other(wanted: str, lacking: str) -> None:
    """In a process of its own, which cannot import what the other extra brings."""
    code = (
        "import sys, importlib\n"
        f"sys.modules.update(dict.fromkeys({lacking.split()!r}))\n"
        f"for name in {wanted.split()!r}: importlib.import_module('quantbench.' + name)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
