"""The package from outside, made available to processes of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import quantbench
from tests.conftest import PLUGINS

if TYPE_CHECKING:
    from collections.abc import Mapping

collect_ignore = ["quantbench_linear"]  # its study needs it installed
PACKAGE = Path(__file__).with_name("quantbench_linear")
STUDY = PACKAGE / "test_linear_study.py"
_QUICK = ("-p", "no:cacheprovider", "--benchmark-max-time=0.01", "--benchmark-min-rounds=2")


@dataclass(frozen=True)
class Place:
    """A folder of a user's, with the package at hand.

    Attributes:
        path: the folder.
        site: where the package is installed.
    """

    path: Path
    site: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run pytest here."""
        return self._python("-m", "pytest", *_QUICK, *arguments)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `quantbench` here."""
        return self._python("-m", "quantbench", *arguments)

    def write(self, **files: str) -> None:
        """Modules of the user's own."""
        for name, text in files.items():
            (self.path / f"{name}.py").write_text(text, encoding="utf-8")

    def _python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        own = Path(quantbench.__file__).parents[1]
        outer = {
            k: v for k, v in os.environ.items() if not k.startswith(("QUANTBENCH_", "PYTEST_"))
        }
        environment = outer | {
            "PYTHONPATH": os.pathsep.join(map(str, (self.site, self.path, own))),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTEST_PLUGINS": PLUGINS,
            "QUANTBENCH_CACHE": str(self.path / "cache"),
        }
        return subprocess.run(
            [sys.executable, *arguments],
            check=False, capture_output=True, text=True, cwd=self.path, env=environment,
        )  # fmt: skip


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package installed: by pip where its build backend is at hand.

    Else its files and entry points are put there as an installer would put them.
    """
    folder = tmp_path_factory.mktemp("site")
    # Not find_spec("pip"): setuptools' import hook takes that for pip itself running, and warns.
    if find_spec("hatchling") and any(distributions(name="pip")):
        source = shutil.copytree(PACKAGE, tmp_path_factory.mktemp("source") / PACKAGE.name)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
        options = ["--no-build-isolation", "--target", str(folder), str(source)]
        subprocess.run([*pip, *options], check=True)
        return folder
    shutil.copytree(PACKAGE / PACKAGE.name, folder / PACKAGE.name)
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    register(folder, project["name"], project["version"], project["entry-points"])
    return folder


def register(
    folder: Path, name: str, version: str, groups: Mapping[str, Mapping[str, Any]]
) -> None:
    """Write what makes a folder on the path an installed distribution with entry points."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", ""]
    (info / "METADATA").write_text("\n".join(lines), encoding="utf-8")
    points = [
        "\n".join([f"[{group}]", *(f"{key} = {value}" for key, value in named.items()), ""])
        for group, named in groups.items()
    ]
    (info / "entry_points.txt").write_text("\n".join(points), encoding="utf-8")


@pytest.fixture
def place(site: Path, tmp_path: Path) -> Place:
    """A fresh folder with the package's study and a store of its own."""
    shutil.copy(STUDY, tmp_path)
    return Place(tmp_path, site)
