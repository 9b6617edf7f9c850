"""How many bytes a source is, asked of who has it; nothing is fetched."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.error
import urllib.request
from fnmatch import fnmatch
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from quantbench.core.jsons import MALFORMED
from quantbench.errors import UsageError
from quantbench.sources.downloads import Download
from quantbench.sources.hubs import HuggingFace
from quantbench.sources.parsing import Several, parse_source
from quantbench.sources.registries import NPM

if TYPE_CHECKING:
    from quantbench.sources.parsing import Source

_PATIENCE_S = 10.0
_MOST_DIGITS = 18


def declared(text: str) -> int | None:
    """Bytes that come over the network, as the source's text says by `bytes=`; None without.

    Raises:
        UsageError: it says no number.
    """
    said = parse_qs(text.partition("#")[2]).get("bytes")
    if said is None:
        return None
    if not (said[-1].isascii() and said[-1].isdecimal() and len(said[-1]) <= _MOST_DIGITS):
        raise UsageError("not a source's size", where=text[:80], expected="bytes=NUMBER")
    return int(said[-1])


def size_of(text: str) -> int | None:
    """Bytes that fetching a source takes; None where nobody could be asked, or nobody knows.

    What the source declares is taken as it is. Else a web server is asked by HEAD, the Hugging
    Face Hub and npm by their clients. pip and kagglehub do not tell sizes.
    """
    said = declared(text)
    return _asked(parse_source(text)) if said is None else said


def _asked(source: Source) -> int | None:
    match source:
        case Several(sources=several):
            sizes = [_asked(each) for each in several]
            return None if None in sizes else sum(filter(None, sizes))
        case Download(url=url):
            return _of_download(url)
        case HuggingFace():
            return _of_hub(source)
        case NPM(package=package, version=version):
            return _of_npm(f"{package}@{version}")
    return None


def _of_download(url: str) -> int | None:
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310 - a parsed http(s) address
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE_S) as answer:  # noqa: S310 - as above
            return int(answer.headers["Content-Length"])
    except (OSError, ValueError, TypeError, urllib.error.URLError):
        return None


def _of_hub(source: HuggingFace) -> int | None:
    try:
        from huggingface_hub import HfApi
    except ModuleNotFoundError:
        return None
    name = source.repository.removeprefix("datasets/")
    kind = "model" if name == source.repository else "dataset"
    try:
        told = HfApi().repo_info(
            name,
            repo_type=kind,
            revision=source.revision,
            files_metadata=True,
            timeout=_PATIENCE_S,
        )
    except Exception:  # noqa: BLE001 - the client raises its own, and its HTTP library's
        return None
    wanted = [
        each.size
        for each in told.siblings or ()
        if not source.files or any(fnmatch(each.rfilename, file) for file in source.files)
    ]
    return None if not wanted or None in wanted else sum(filter(None, wanted))


def _of_npm(pin: str) -> int | None:
    """The unpacked size: of weights, which do not compress, nearly what comes."""
    npm = shutil.which("npm")
    if npm is None:
        return None
    command = [npm, "view", pin, "dist.unpackedSize", "--json", "--fetch-retries=0"]
    try:
        run = subprocess.run(  # noqa: S603 - a parsed name and version
            command, capture_output=True, text=True, timeout=_PATIENCE_S, check=True
        )
        return int(json.loads(run.stdout))
    except (OSError, subprocess.SubprocessError, *MALFORMED):
        return None
