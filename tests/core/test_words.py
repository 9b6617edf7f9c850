"""Words that go with numbers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from quantbench.core.words import plural

PACKAGE = Path(__file__).parents[2] / "quantbench"


@pytest.mark.parametrize(("n", "text"), [(0, "0 ops"), (1, "1 op"), (2, "2 ops")])
def test_one_thing_has_no_s(n: int, text: str) -> None:
    assert plural(n, "op") == text


def test_nobody_puts_the_s_by_hand() -> None:
    by_hand = re.compile(r"""['"]s['"] \* \(""")
    assert not [p for p in PACKAGE.rglob("*.py") if by_hand.search(p.read_text(encoding="utf-8"))]
