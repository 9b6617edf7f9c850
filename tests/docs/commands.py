"""Command lines of the pages, held against what each program takes."""

from __future__ import annotations

import configparser
import re
import shlex
import tomllib
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from quantbench.cli import main
from tests.docs.pages import ROOT, Block

if TYPE_CHECKING:
    from collections.abc import Iterator

# Programs that are not this project's: their options are theirs.
OTHERS = {
    ".",
    "docker",
    "cd",
    "chromium",
    "git",
    "grep",
    "lint-imports",
    "mkdocs",
    "mypy",
    "ray",
    "ruff",
    "sudo",
}
_ENDS = {"&&", "||", "|", ";"}
_ASSIGNMENT = re.compile(r"[A-Z_]+=.*")


def lines_of(block: Block) -> list[str]:
    """What a reader types: after "$ " in a console, every line of a script."""
    joined = block.text.replace("\\\n", " ")
    if block.kind == "console":
        return [line[2:] for line in joined.splitlines() if line.startswith("$ ")]
    return [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]


def commands_of(line: str) -> Iterator[list[str]]:
    """The commands of a line, each as its words, without variables that are set before it."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    command: list[str] = []
    for word in [*lexer, ";"]:
        if word not in _ENDS:
            command += [word] if command or not _ASSIGNMENT.fullmatch(word) else []
        elif command:
            yield command
            command = []


def wrong_with(words: list[str], known_to_pytest: set[str], *, whole: bool) -> str:
    """Why a command cannot be given like this; "" where it can.

    Args:
        words: the command.
        known_to_pytest: options.
        whole: it must have all that it needs; else only what is said must exist.
    """
    program, *rest = words
    name = program.rpartition("/")[2]
    if name == "quantbench":
        return _of_quantbench(rest, whole=whole)
    if name == "pytest":
        named = [word.partition("=")[0] for word in rest if word.startswith("-") and word != "-"]
        return next((f"pytest has no {word}" for word in named if word not in known_to_pytest), "")
    if name in {"python", "python3.11"}:
        return _of_python(rest)
    if name == "pip":
        return _of_pip(rest)
    if name == "tox":
        return "" if _of_tox(rest) else f"no environment: {rest}"
    return "" if name in OTHERS else f"unknown program {name}"


def _of_quantbench(rest: list[str], *, whole: bool) -> str:
    command: click.Command = main
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        if (below := command.commands.get(rest[0])) is None:
            return f"no command {rest[0]}"
        command, rest = below, rest[1:]
    context = click.Context(command, info_name=command.name)
    if not whole:
        options = {name for each in command.get_params(context) for name in each.opts}
        said = [word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)]
        return next((f"{command.name} has no {word}" for word in said if word not in options), "")
    try:
        given, _, _ = command.make_parser(context).parse_args(list(rest))
    except click.UsageError as error:
        return error.format_message()
    for each in command.get_params(context):
        if each.required and not given.get(each.name or ""):
            return f"{command.name} needs {each.name}"
        if isinstance(each.type, click.Choice) and each.name in given:
            chosen = given[each.name]
            if chosen is not None and chosen not in each.type.choices:
                return f"{command.name} takes no {chosen}"
    return ""


def _of_python(rest: list[str]) -> str:
    if rest[:1] == ["-m"]:
        found = (ROOT / f"{rest[1].replace('.', '/')}.py").is_file() or find_spec(rest[1])
        return "" if found else f"no module {rest[1]}"
    return "" if rest and (ROOT / rest[0]).is_file() else f"no script {rest[:1]}"


def _of_pip(rest: list[str]) -> str:
    with (ROOT / "pyproject.toml").open("rb") as file:
        extras = set(tomllib.load(file)["project"]["optional-dependencies"])
    asked = re.findall(r"(?:quantbench|\.)\[([\w,]+)\]", " ".join(rest))
    return next((f"no extra {e}" for each in asked for e in each.split(",") if e not in extras), "")


def _of_tox(rest: list[str]) -> bool:
    names = rest[rest.index("-e") + 1].split(",") if "-e" in rest else []
    return all(re.fullmatch(r"py31\d", name) or name in _environments() for name in names)


@cache
def _environments() -> set[str]:
    read = configparser.ConfigParser(interpolation=None)
    read.read(ROOT / "tox.ini", encoding="utf-8")
    return {name.partition(":")[2] for name in read.sections()}
