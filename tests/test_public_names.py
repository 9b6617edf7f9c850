"""The public names are what `__all__` lists, each importable and documented."""

from __future__ import annotations

import subprocess
import sys

import pytest

import quantbench


def test_every_listed_name_has_a_home() -> None:
    assert sorted(quantbench.__all__) == sorted(quantbench._HOMES)  # noqa: SLF001


@pytest.mark.parametrize("name", quantbench.__all__)
def test_a_public_name_is_documented(name: str) -> None:
    assert getattr(quantbench, name).__doc__


def test_the_public_names_are_what_is_listed() -> None:
    assert dir(quantbench) == sorted(quantbench.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        quantbench.nothing  # noqa: B018 - the look-up is the test


def test_importing_quantbench_imports_nothing_else_of_it() -> None:
    code = "import sys, quantbench; print([m for m in sys.modules if m.startswith('quantbench.')])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
