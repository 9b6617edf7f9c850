"""What grows is named in its own folder alone: backends and tasks join by entry points.

Looked for in the package's own syntax trees. Extras are called like backends and tasks, and
distributions like extras; where a word names one of these, it stands in `OTHER_MEANING`.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import quantbench

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(quantbench.__file__).parent


def folders(room: str) -> list[str]:
    """Names of what a room holds."""
    return sorted(each.parent.name for each in (PACKAGE / room).glob("*/__init__.py"))


BACKENDS, TASKS = folders("backends"), folders("tasks")
# What may name a backend: the studies that come with the package. A task is also named by its data
# sets, as their default, and by what reads its result files.
HOMES = {"backends": ("catalog",), "tasks": ("catalog", "data", "judge")}
# Assigned here, a word is a distribution's or a logger's, or a kind of a detector's mistakes: the
# library's or the literature's, not the backend's or the task's.
OTHER_MEANING = ("tools", "_FRAMEWORKS", "_KINDS")

METRICS = {"perplexity": ("tasks/last_word",)}  # a task's name, where another has such a metric


def sources(room: str, name: str) -> Iterator[tuple[str, ast.Module]]:
    """Path and syntax tree of each module that must not name it."""
    known = (*HOMES[room], *METRICS.get(name, ()))
    homes = [PACKAGE / room / name, *(PACKAGE / home for home in known)]
    for path in sorted(PACKAGE.rglob("*.py")):
        if not any(home in path.parents for home in homes):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            yield path.relative_to(PACKAGE).as_posix(), tree


def quoted(tree: ast.Module, name: str) -> list[int]:
    """Lines on which the name stands as a text of its own."""
    spared: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(t, ast.Name) and t.id in OTHER_MEANING for t in targets):
                spared.update(map(id, ast.walk(node)))
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value == name and id(node) not in spared
    ]


def reached(tree: ast.Module, module: str) -> list[int]:
    """Lines that import the module or one in it, or name it as `module:attribute`."""
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                named = [alias.name for alias in names]
            case ast.ImportFrom(module=home, names=names):
                named = [f"{home}.{alias.name}" for alias in names]
            case ast.Constant(value=str(text)):
                named = [text.replace(":", ".")]
            case _:
                continue
        found += [node.lineno for each in named if f"{each}.".startswith(f"{module}.")]
    return found


def test_backends_and_tasks_are_found() -> None:
    assert {"litert", "transformers"} <= set(BACKENDS)
    assert {"classification", "detection", "last_word", "perplexity"} <= set(TASKS)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_is_named_in_its_folder_alone(name: str) -> None:
    assert {where: lines for where, tree in sources("backends", name)
            if (lines := quoted(tree, name))} == {}  # fmt: skip


@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_is_imported_by_itself_and_the_catalog_alone(name: str) -> None:
    assert {where: lines for where, tree in sources("backends", name)
            if (lines := reached(tree, f"quantbench.backends.{name}"))} == {}  # fmt: skip


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_named_in_its_folder_by_its_data_and_by_its_files_alone(name: str) -> None:
    assert {where: lines for where, tree in sources("tasks", name)
            if (lines := quoted(tree, name))} == {}  # fmt: skip


@pytest.mark.parametrize("path", ["report/page/report.html.jinja", "report/page/report.js"])
@pytest.mark.parametrize("name", [*BACKENDS, *TASKS])
def test_the_report_s_page_names_none(path: str, name: str) -> None:
    text = (PACKAGE / path).read_text(encoding="utf-8")
    assert not [quote for quote in "\"'`" if f"{quote}{name}{quote}" in text]


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ('if backend == "litert":\n    pass', [1]),
        ('x = {\n    "litert": 1}', [2]),
        ('tools = ("litert",)', []),
        ('tools: tuple[str, ...] = ("litert",)', []),
        ('other = ("litert",)', [1]),
        ('"""About litert."""', []),
    ],
)
def test_a_quoted_name_would_be_found(source: str, lines: list[int]) -> None:
    assert quoted(ast.parse(source), "litert") == lines


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import quantbench.backends.litert.tflite", True),
        ("from quantbench.backends import litert", True),
        ("from quantbench.backends.litert.tflite import read", True),
        ('resolve("quantbench.backends.litert.tflite:read")', True),
        ("from quantbench.backends.litert_next import x", False),
        ("from quantbench.study import Scheme", False),
    ],
)
def test_an_import_would_be_found(source: str, found: bool) -> None:  # noqa: FBT001
    assert bool(reached(ast.parse(source), "quantbench.backends.litert")) is found
