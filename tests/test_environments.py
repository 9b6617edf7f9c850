"""The environments that tox and the hosted workflow make: pinned, of extras that exist."""

from __future__ import annotations

import configparser
import re
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
INSTALLS = ("README.md", ".ci/run", ".github/workflows/ci.yml")


def extras() -> set[str]:
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    return set(tomllib.loads(text)["project"]["optional-dependencies"])


def environments() -> dict[str, configparser.SectionProxy]:
    read = configparser.ConfigParser(interpolation=None)
    read.read(REPOSITORY / "tox.ini", encoding="utf-8")
    return {name: read[name] for name in read.sections() if name.startswith("testenv")}


def test_tox_is_told_of_the_pinned_versions_where_it_heeds_them() -> None:
    """A constraints file among `deps` fails alone, and beside others constrains nothing else."""
    pinned = environments()["testenv"].get("constraints", "")
    assert (REPOSITORY / pinned.removeprefix("{toxinidir}/")).samefile(
        REPOSITORY / "constraints.txt"
    )
    for environment in environments().values():
        assert "-c" not in environment.get("deps", "")


@pytest.mark.parametrize("name", environments())
def test_an_environment_installs_extras_that_exist(name: str) -> None:
    assert set(environments()[name].get("extras", "").split()) <= extras()


@pytest.mark.parametrize("name", INSTALLS)
def test_a_command_installs_extras_that_exist(name: str) -> None:
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    lists = re.findall(r"(?:quantbench|-e \"?\.)\[([a-z_,]+)\]", text)
    assert lists
    assert {extra for each in lists for extra in each.split(",")} <= extras()
