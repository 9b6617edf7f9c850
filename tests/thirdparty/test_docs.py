"""The how-to pages show the package as it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.thirdparty.conftest import PACKAGE

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "how-to"
PAGES = ("add_a_backend.md", "add_a_task.md")
FENCE = re.compile(
    r"(?:^<!-- (?P<file>\S+) -->\n)?^```\w*\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


def excerpts(page: str) -> list[tuple[str, str]]:
    """File and text of each piece of code."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return [(found["file"] or "", found["text"]) for found in FENCE.finditer(text)]


EXCERPTS = [(page, *excerpt) for page in PAGES for excerpt in excerpts(page)]


@pytest.mark.parametrize(
    ("page", "file", "text"), EXCERPTS, ids=[f"{page}-{i}" for i, (page, *_) in enumerate(EXCERPTS)]
)
def test_an_excerpt_stands_literally_in_its_file(page: str, file: str, text: str) -> None:
    assert file, f"{page}: the line above the code does not name its file:\n{text}"
    assert f"\n{text}" in "\n" + (PACKAGE / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_files_and_pages_that_are_named_exist(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    named = re.findall(r"`((?:tests|quantbench|benchmarks)/[\w/.]+)`", text)
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []
    assert [link for link in re.findall(r"\]\((.+?\.md)\)", text) if link not in PAGES] == []


def test_both_pages_together_show_every_part_of_the_package() -> None:
    shown = {file for _, file, _ in EXCERPTS}
    parts = {"backend", "importer", "quantizer", "runner", "looks", "task", "metrics", "data"}
    assert {f"quantbench_linear/{part}.py" for part in parts} <= shown
