"""Names become implementations, and a missing package becomes the command that installs it."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import pytest

from quantbench.core.plugins import load, missing_extra, resolve
from quantbench.errors import UsageError
from quantbench.study import Scheme, registry
from quantbench.study.registry import backends, find_backend, find_quantizer, find_task

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def test_an_unknown_name_lists_what_is_registered() -> None:
    with pytest.raises(
        UsageError, match="aeq, as_shipped, litert, mended, recovered, or module:class"
    ):
        find_quantizer(Scheme("mine", "litert", "onnx", "int8", "int8"))
    with pytest.raises(UsageError, match=r"litert, .*transformers"):
        find_quantizer(Scheme("mine", "onnx", "onnx", "int8", "int8"))
    with pytest.raises(UsageError, match="detection, last_word"):
        find_task("words")


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The module of a package that is installed, with a backend and a task in it."""
    info = tmp_path / "from_outside-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: from-outside\nVersion: 1.0\n")
    points = [f"[quantbench.{group}]\nbroken = broken_part:IT\n" for group in ("backends", "tasks")]
    (info / "entry_points.txt").write_text("".join(points))
    monkeypatch.syspath_prepend(tmp_path)
    registry._loaded.cache_clear()  # noqa: SLF001
    yield tmp_path / "broken_part.py"
    registry._loaded.cache_clear()  # noqa: SLF001
    sys.modules.pop("broken_part", None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import a_module_that_is_not_there", "ModuleNotFoundError: No module named"),
        ("it = None", "AttributeError: .* no attribute 'IT'"),
        ("1 / 0", "ZeroDivisionError"),
        ("from quantbench import Scheme\nScheme.parse('x')", "circular import"),
    ],
)
@pytest.mark.parametrize("group", ["backends", "tasks"])
def test_a_package_from_outside_that_cannot_be_loaded_is_named(
    broken: Path, group: str, text: str, said: str
) -> None:
    broken.write_text(text)
    with pytest.raises(UsageError, match=said) as caught:
        find_backend("broken") if group == "backends" else load("tasks", "broken")
    assert "broken = broken_part:IT, of from-outside" in str(caught.value)


def test_a_broken_backend_breaks_what_it_brings_alone(broken: Path) -> None:
    broken.write_text("1 / 0")
    assert {"litert", "transformers"} <= set(backends())
    assert Scheme.parse("int8_static").backend == "litert"
    with pytest.raises(UsageError, match="broken_part:IT, of from-outside"):
        Scheme.parse("int8_of_theirs")


def test_code_is_named_by_module_and_attribute() -> None:
    assert resolve("quantbench.study:Scheme") is Scheme
    for wrong in ("quantbench.study", "quantbench.study:Scheme_", "no_such_module_at_all:C"):
        with pytest.raises(UsageError, match=wrong.partition(":")[0]):
            resolve(wrong)


def parts() -> list[str]:
    """Code of all backends and tasks that says which tools it uses."""
    named = [point.value for point in entry_points(group="quantbench.tasks")]
    for backend in backends().values():
        imports = [each.code for each in backend.importers.values()]
        named += [backend.runner, *backend.quantizers.values(), *imports]
    return named


@pytest.mark.parametrize("code", parts())
def test_every_tool_of_every_part_is_brought_by_an_extra(code: str) -> None:
    for tool in getattr(resolve(code), "tools", ()):
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
            (
                "tasks.last_word.task backends.transformers.runner "
                "backends.transformers.quantizers.gptq backends.transformers.quantizers.hqq"
            ),
            "numba PIL tensorflow keras ai_edge_litert hotcoco sklearn",
        ),
        (
            (
                "tasks.detection.task backends.litert.runner backends.litert.convert "
                "backends.litert.aeq catalog.digits.network"
            ),
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
