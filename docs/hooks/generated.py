"""Reference pages out of the code: `<!-- generated: NAME -->` in a page becomes what the code says.

mkdocs calls `on_files` and `on_page_markdown`. What they put in exists in no file of `docs/`, so
that it cannot be out of date.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import click
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

# The mark, and a line for those who read the page unbuilt.
MARK = re.compile(r"^<!-- generated: (\w+) -->\n(?:\*Made from .*\*\n)?", re.MULTILINE)
PACKAGE = Path(__file__).parents[2] / "quantbench"
SCHEMA = PACKAGE / "record" / "record.schema.json"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Put the JSON Schema beside its page."""
    from mkdocs.structure.files import File

    files.append(File.generated(config, f"reference/{SCHEMA.name}", abs_src_path=str(SCHEMA)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put in what the marks of a page name."""
    return MARK.sub(lambda found: f"{GENERATED[found[1]]()}\n", markdown)


def table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """In Markdown."""
    titles = list(titles)
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |" for row in lines
    )


def options() -> str:
    """The options of pytest, and the two other ways to say them."""
    from quantbench.core.settings import OPTIONS

    rows = []
    for name, text in OPTIONS.items():
        option = f"--quant-{name.replace('_', '-')}"
        ways = f"`{option}`", f"`quant_{name}`", f"`QUANTBENCH_{name.upper()}`"
        rows.append(("<br>".join(ways), text))
    return table(("option, key in the file, environment variable", ""), rows)


def requirements() -> str:
    """The words of QUANTBENCH_REQUIRE."""
    from quantbench.core.settings import REQUIREMENTS

    return f"`QUANTBENCH_REQUIRE={','.join(REQUIREMENTS)}`"


def fixtures() -> str:
    """The fixtures' names and docstrings; read, not imported."""
    tree = ast.parse((PACKAGE / "plugin" / "fixtures.py").read_text(encoding="utf-8"))
    found = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and node.decorator_list
        and not node.name.startswith("_")
    ]
    return "\n\n".join(f"## `{each.name}`\n\n{ast.get_docstring(each)}" for each in found)


def commands() -> str:
    """Each command's help, arguments and options."""
    from quantbench.cli import main

    return "\n\n".join(_command(path, found) for path, found in walk("quantbench", main))


def walk(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """A command and those below it, by their full names."""
    yield path, command
    for name, below in sorted(getattr(command, "commands", {}).items()):
        yield from walk(f"{path} {name}", below)


def _command(path: str, command: click.Command) -> str:
    import click

    context = click.Context(command, info_name=path)
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [f"## `{path}`", f"```text\n{path} {usage}\n```"]
    lines += [re.sub(r"(?m)^    ", "", click.unstyle(command.help or ""))]
    rows = [
        (f"`{', '.join(each.opts)}`", _kind(each), each.help or "")
        for each in command.params
        if isinstance(each, click.Option)
    ]
    if rows:
        lines.append(table(("option", "takes", ""), rows))
    for example in _examples(command):
        lines.append(f"```text\n{example}\n```")
    return "\n\n".join(lines)


def _kind(option: click.Option) -> str:
    """What an option takes, and what it is where it is not given."""
    import click

    if option.is_flag:
        return ""
    if isinstance(option.type, click.Choice):
        takes = ", ".join(f"`{each}`" for each in option.type.choices)
    else:
        takes = option.type.name
    required = "; required" if option.required else ""
    default = f"; default `{option.default}`" if option.show_default else ""
    return f"{takes}{required}{default}"


def _examples(command: click.Command) -> list[str]:
    text = (command.epilog or "").removeprefix("Examples:").removeprefix("Example:")
    return [each.strip() for each in text.split(";") if each.strip()]


def schemes() -> str:
    """The schemes of each backend, families of names as one."""
    from quantbench.study.registry import backends

    parts = []
    for name, backend in backends().items():
        names = ", ".join(f"`{pattern}`" for pattern in backend.schemes.patterns)
        starts = ", ".join(f"`{each}`" for each in backend.starts_from)
        parts.append(f"## {name}\n\nStarts from: {starts or 'files as they come'}.\n\n{names}")
    return "\n\n".join(parts)


def importers() -> str:
    """Which float format becomes which."""
    from quantbench.study.registry import backends

    rows = [
        (f"`{name}`", f"`{each.reads}`" if each.reads else "by its name", f"`{each.writes}`", owner)
        for owner, backend in backends().items()
        for name, each in backend.importers.items()
    ]
    return table(("importer", "reads", "writes", "of the backend"), rows)


def record() -> str:
    """The fields of a record, out of its JSON Schema."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    parts = []
    for name, kind in schema["$defs"].items():
        if "properties" not in kind:
            continue
        rows = [
            (f"`{field}`", _type(what), what.get("description", ""))
            for field, what in kind["properties"].items()
        ]
        parts.append(f"### {name}\n\n{kind['description']}\n\n{table(('key', 'type', ''), rows)}")
    return "\n\n".join(parts)


def _type(what: dict[str, Any]) -> str:
    if "$ref" in what:
        name = what["$ref"].rpartition("/")[2]
        return f"[{name}](#{name})"
    if "anyOf" in what:
        return " or ".join(map(_type, what["anyOf"]))
    if "enum" in what:
        return ", ".join(f"`{json.dumps(each)}`" for each in what["enum"])
    if "const" in what:
        return f"`{json.dumps(what['const'])}`"
    kinds = what.get("type", "any")
    said = kinds if isinstance(kinds, str) else " or ".join(kinds)
    return f"array of {_type(what['items'])}" if "items" in what else said


def errors() -> str:
    """The tree of errors."""
    import textwrap

    import quantbench.errors

    _, tree, last = (quantbench.errors.__doc__ or "").split("\n\n")
    return f"```text\n{textwrap.dedent(tree)}\n```\n\n{last}"


GENERATED: dict[str, Callable[[], str]] = {
    each.__name__: each
    for each in (options, requirements, fixtures, commands, schemes, importers, record, errors)
}
