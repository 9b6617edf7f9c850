"""What is shipped: one version everywhere, extras that exist, an image with all that it needs."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_all_files_name_the_version_of_the_project() -> None:
    version = re.escape(PROJECT["version"])
    assert re.search(rf"^version: {version}$", text("CITATION.cff"), re.MULTILINE)
    assert re.search(rf"^## {version} \(", text("CHANGELOG.md"), re.MULTILINE)


@pytest.mark.parametrize(
    "name", ["README.md", "action.yml", "Dockerfile", ".github/workflows/release.yml", "tox.ini"]
)
def test_what_is_installed_by_name_is_an_extra(name: str) -> None:
    named = re.findall(r"(?:quantbench|whl\)|\.)\[([a-z,]+)\]", text(name))
    assert {each for some in named for each in some.split(",")} <= {
        *PROJECT["optional-dependencies"]
    }


def test_the_image_copies_what_its_context_lets_through() -> None:
    sources = [
        source
        for line in re.findall(r"^COPY (.+) \S+$", text("Dockerfile"), re.MULTILINE)
        for source in line.split()
    ]
    let_through = [line[1:] for line in text(".dockerignore").splitlines() if line[:1] == "!"]
    assert sorted(sources) == sorted(let_through)
    assert all((ROOT / source).exists() for source in sources)


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_package(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        shipped = {name for name in archive.namelist() if name.startswith("quantbench/")}
    files = [path.relative_to(ROOT) for path in (ROOT / "quantbench").rglob("*.*")]
    assert shipped >= {path.as_posix() for path in files if "__pycache__" not in path.parts}
