"""What two machines must have in common to do parts of one run: code and versions."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import quantbench
from quantbench.core.digests import digest_of, sha256_of
from quantbench.core.plugins import resolve
from quantbench.errors import QuantbenchError
from quantbench.run.steps.resolve import importers_of
from quantbench.study.registry import find_backend, find_quantizer, find_task, runner_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from quantbench.study import Case

_CODE = "quantbench's code"
_PYTHON = "python"


@cache
def code() -> str:
    """Digest of quantbench's own modules."""
    root = Path(quantbench.__file__).parent
    files = sorted(root.rglob("*.py"))
    return digest_of({path.relative_to(root).as_posix(): sha256_of(path) for path in files})


def identity(cases: Iterable[Case]) -> dict[str, str]:
    """Of this machine, as far as the cases depend on it: what a node is compared with."""
    cases = list(cases)
    tools = sorted({tool for case in cases for tool in _tools(case)} | _owners(cases))
    return _told(tools)


def differences(wanted: Mapping[str, str]) -> list[str]:
    """In what this machine is another than the one whose identity is wanted, in words."""
    mine = _told([name for name in wanted if name not in {_CODE, _PYTHON}])
    return [
        f"{name} {_short(mine[name])} instead of {_short(wanted[name])}"
        for name in wanted
        if mine[name] != wanted[name]
    ]


def _short(text: str) -> str:
    return text[:12] if len(text) == 64 else text  # noqa: PLR2004 - digits of a sha256


def _told(tools: Iterable[str]) -> dict[str, str]:
    python = ".".join(platform.python_version_tuple()[:2])
    return {_CODE: code(), _PYTHON: python, **{tool: _version(tool) for tool in tools}}


@cache
def _version(tool: str) -> str:
    try:
        return version(tool)
    except PackageNotFoundError:
        return "not installed"


def _tools(case: Case) -> Iterator[str]:
    """Distributions that the case's numbers depend on; what cannot be loaded tells so later."""
    parts: list[Any] = []
    for part in (
        lambda: find_task(case.task),
        lambda: find_quantizer(case.scheme),
        lambda: runner_for(case),
    ):
        try:
            parts.append(part())
        except QuantbenchError:
            continue
    try:
        chain = importers_of(case.model, find_backend(case.scheme.backend))
        parts += [resolve(each.code) for _, each in chain]
    except QuantbenchError:
        pass
    for part in parts:
        yield from part.tools


def _owners(cases: Iterable[Case]) -> set[str]:
    """Distributions from outside that bring the backends and tasks of the cases."""
    names = {name for case in cases for name in (case.scheme.backend, case.task)}
    points = [*entry_points(group="quantbench.backends"), *entry_points(group="quantbench.tasks")]
    return {
        point.dist.name
        for point in points
        if point.name in names and point.dist is not None and point.dist.name != "quantbench"
    }
