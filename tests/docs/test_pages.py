"""What README and the documentation show can be typed as it is shown.

Here the quick checks of every block: Python is run as a module (which describes studies and runs
none) and its names resolve; commands, options, extras and files exist; data parse. Whole examples
run in tests/plugin (`test_readme.py`, `test_onnx_page.py`, ...), for they take data and minutes.
"""

from __future__ import annotations

import ast
import builtins
import json
import re
import symtable
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from quantbench.core.settings import OPTIONS, REQUIREMENTS
from tests.docs.commands import commands_of, lines_of, wrong_with
from tests.docs.pages import DOCS, EXCERPTS, PAGES, ROOT, SITE, Block, blocks, of_kind, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KINDS = {"bash", "console", "json", "python", "text", "toml", "yaml"}
FIXTURES = {"benchmark"}  # pytest-benchmark's; the plugin's own are read below
INLINE = re.compile(r"`((?:quantbench|pytest|tox|python|pip) [^`]+)`")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


@pytest.fixture(scope="module")
def known_to_pytest(pytestconfig: pytest.Config) -> set[str]:
    """Every option that pytest and its plugins take here."""
    text = pytestconfig._parser.optparser.format_help()  # noqa: SLF001 - there is no other way
    return set(re.findall(r"(?<![\w-])(-{1,2}[A-Za-z][\w-]*)", text)) | {"-n"}


@pytest.mark.parametrize("page", PAGES)
def test_a_block_says_what_it_is(page: str) -> None:
    assert text_of(page).count("```") == 2 * len(blocks(page))
    assert {block.kind for block in blocks(page)} <= KINDS


@pytest.mark.parametrize("block", of_kind("python"), ids=str)
def test_python_runs_as_a_module(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the page's pieces before it, whose names it may use."""
    monkeypatch.chdir(tmp_path)
    before = [each for each in blocks(block.page) if each.kind == "python"]
    names: dict[str, Any] = {"__name__": "a_page"}
    for each in before[: before.index(block) + 1]:
        exec(compile(each.text, str(each), "exec"), names)  # noqa: S102 - the page's own
    unknown = set(globals_of(block.text)) - set(names) - set(dir(builtins))
    assert not unknown


@pytest.mark.parametrize("block", of_kind("python"), ids=str)
def test_a_shown_test_asks_for_fixtures_that_exist(block: Block) -> None:
    tree = ast.parse((ROOT / "quantbench/plugin/fixtures.py").read_text(encoding="utf-8"))
    known = FIXTURES | {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            asked = {each.arg for each in node.args.args} - {"self"}
            assert asked <= known


@pytest.mark.parametrize("block", of_kind("console", "bash"), ids=str)
def test_a_command_exists_with_its_options(block: Block, known_to_pytest: set[str]) -> None:
    lines = lines_of(block)
    assert lines
    for line in lines:
        for command in commands_of(line):
            assert wrong_with(command, known_to_pytest, whole=True) == "", line


@pytest.mark.parametrize("page", PAGES)
def test_a_command_that_a_sentence_names_exists(page: str, known_to_pytest: set[str]) -> None:
    for line in INLINE.findall(text_of(page)):
        for command in commands_of(line):
            assert wrong_with(command, known_to_pytest, whole=False) == "", line


@pytest.mark.parametrize("block", of_kind("json", "toml", "yaml"), ids=str)
def test_data_parse(block: Block, known_to_pytest: set[str]) -> None:
    if block.kind == "json":
        assert json.loads(block.text)
    elif block.kind == "toml":
        keys = tomllib.loads(block.text)["tool"]["pytest"]["ini_options"]
        assert set(keys) <= {f"quant_{name}" for name in OPTIONS}
    else:
        steps = yaml.safe_load(block.text)["jobs"]["gates"]["steps"]
        for command in (each for step in steps for each in commands_of(step.get("run", ""))):
            assert wrong_with(command, known_to_pytest, whole=True) == ""
        asked = yaml.safe_dump(steps)
        words = re.findall(r"QUANTBENCH_REQUIRE: ([\w,]+)", asked)
        assert all(word in REQUIREMENTS for each in words for word in each.split(","))


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_exist(page: str) -> None:
    """A module is named by its path in the repository, or in the package."""
    for name in re.findall(r"`((?:[\w-]+/)+[\w.-]+\.(?:py|json|css))`", text_of(page)):
        if page in EXCERPTS or name.startswith(("coco/", "lambada/", "photos/")):
            continue
        assert (ROOT / name).exists() or (ROOT / "quantbench" / name).exists(), name


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target in LINK.findall(text_of(page)):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        found = ((ROOT / page).parent / path).resolve() if path else ROOT / page
        if found.name == "record.schema.json":  # the site puts it there
            found = ROOT / "quantbench" / "record" / found.name
        assert found.is_file(), target
        if anchor:
            text = found.read_text(encoding="utf-8")
            assert anchor in anchors(text) or "<!-- generated:" in text, target


def test_every_page_stands_in_the_navigation_once() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    named = re.findall(r"^ +- (?:[^:\n]+: )?([\w/-]+\.md)$", text, re.MULTILINE)
    assert sorted(f"docs/{name}" for name in named) == SITE


def test_readme_is_short() -> None:
    assert len(text_of("README.md").splitlines()) <= 150


def test_the_reference_pages_name_what_exists() -> None:
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("generated", DOCS / "hooks" / "generated.py")
    assert spec is not None
    assert spec.loader is not None
    hook = module_from_spec(spec)
    spec.loader.exec_module(hook)
    marks = [name for page in PAGES for name in hook.MARK.findall(text_of(page))]
    assert sorted(marks) == sorted(hook.GENERATED)
    made = {name: hook.GENERATED[name]() for name in marks}
    assert all(f"`--quant-{name.replace('_', '-')}`" in made["options"] for name in OPTIONS)
    assert all(f"## `{name}`" in made["fixtures"] for name in ("quantized", "results", "case"))
    assert "## `quantbench judge coco`" in made["commands"]
    assert "`--margin`" in made["commands"]
    assert "`ort_int8_static`" in made["schemes"]
    assert "| `p_value_holm` |" in made["record"]
    assert "PredictionError" in made["errors"]


def globals_of(code: str) -> Iterator[str]:
    """Names that a module, and what is in it, looks up in it or among the builtins."""
    tables = [symtable.symtable(code, "page", "exec")]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (symbol.is_global() or table.get_type() == "module"):
                yield symbol.get_name()


def anchors(text: str) -> set[str]:
    """Of a page's headings, as the site makes them."""
    found = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    plain = [re.sub(r"[^\w\s-]", "", each.replace("`", "")).strip().lower() for each in found]
    return {re.sub(r"[-\s]+", "-", each) for each in plain}
