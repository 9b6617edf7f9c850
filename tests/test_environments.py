"""The environments that tox and the hosted workflow make: pinned, of extras that exist."""

from __future__ import annotations

import configparser
import re
import tomllib
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[1]
WORKFLOWS = (".github/workflows/ci.yml", ".github/workflows/docs.yml")
INSTALLS = ("README.md", "CONTRIBUTING.md", ".ci/run", *WORKFLOWS)


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


@pytest.mark.parametrize("path", sorted((REPOSITORY / ".github/ISSUE_TEMPLATE").glob("*.yml")))
def test_an_issue_template_is_a_form(path: Path) -> None:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.name == "config.yml":
        assert set(form) == {"blank_issues_enabled"}
        return
    assert {"name", "description", "body"} <= set(form)
    assert all(field["type"] in {"input", "textarea"} for field in form["body"])
    assert all(field["attributes"]["label"] for field in form["body"])
    ids = [field["id"] for field in form["body"]]
    assert len(set(ids)) == len(ids)


def test_the_citation_names_this_version() -> None:
    cited = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    assert (cited["version"], cited["license"]) == (project["version"], project["license"])
    assert {"cff-version", "message", "title", "authors"} <= set(cited)
