"""README and the documentation's pages, and the fenced blocks in them."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SITE = sorted(page.relative_to(ROOT).as_posix() for page in DOCS.rglob("*.md"))
PAGES = ["README.md", "CONTRIBUTING.md", *SITE]
# Excerpts of a package, which tests/thirdparty/test_docs.py holds to it.
EXCERPTS = ("docs/how-to/add_a_backend.md", "docs/how-to/add_a_task.md")
_FENCE = re.compile(
    r"(?:^ *<!-- (?P<mark>.+?) -->\n)?"
    r"^(?P<indent> *)```(?P<kind>\w*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: path in the repository.
        number: place among the page's blocks, from 0.
        kind: the word after the fence.
        text: without indentation.
        mark: the comment on the line above, "" without one.
    """

    page: str
    number: int
    kind: str
    text: str
    mark: str

    def __str__(self) -> str:
        """As its test is named."""
        return f"{self.page}-{self.number}"


@cache
def text_of(page: str) -> str:
    """The page as it stands."""
    return (ROOT / page).read_text(encoding="utf-8")


@cache
def blocks(page: str) -> tuple[Block, ...]:
    """All of a page, in order."""
    return tuple(
        Block(page, n, found["kind"], textwrap.dedent(found["text"]), found["mark"] or "")
        for n, found in enumerate(_FENCE.finditer(text_of(page)))
    )


def example(page: str, number: int = 0) -> str:
    """The page's nth piece of Python, of at most fifteen lines."""
    code = [block.text for block in blocks(page) if block.kind == "python"][number]
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    return code


def of_kind(*kinds: str) -> list[Block]:
    """The blocks of these kinds on all pages but those of excerpts."""
    return [
        block
        for page in PAGES
        if page not in EXCERPTS
        for block in blocks(page)
        if block.kind in kinds
    ]
