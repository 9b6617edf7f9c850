"""Names out of a study, checked before they become paths, arguments of a client, or addresses."""

from __future__ import annotations

import os
import re
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any
from urllib.parse import urlsplit

from quantbench.errors import UsageError

_LONGEST = 1024, 255  # bytes of a path, and of one of its parts
_WORD = r"[A-Za-z0-9_][\w.-]*"
_SHAPES = {  # what a source names: how it is written (ASCII alone)
    "PyPI package": r"[A-Za-z0-9][\w.-]*",
    "PyPI version": r"[0-9A-Za-z][\w.!+-]*",
    "npm package": r"(@[a-z0-9~][\w.~-]*/)?[A-Za-z0-9~][\w.~-]*",
    "npm version": r"[0-9][\w.+-]*",
    "Hugging Face repository": rf"(datasets/)?{_WORD}/{_WORD}",
    "Hugging Face revision": rf"{_WORD}(/{_WORD})*",
    "Kaggle model": rf"{_WORD}/{_WORD}/{_WORD}/{_WORD}",
    "Kaggle version": r"[0-9]+",
    "name of an architecture": r"[a-z0-9][a-z0-9_.]*",
    "sha256": r"[0-9a-f]{64}",
}


def named(kind: str, name: str) -> str:
    """The name, if it is written as names of its kind are.

    A client would take `--index-url=...` for an option and `../x` for a folder.

    Raises:
        UsageError: it is not.
    """
    shape = _SHAPES[kind]
    if not re.fullmatch(shape, name, re.ASCII) or ".." in name:
        raise UsageError(f"not a {kind}", expected=shape, got=repr(name[:80]))
    return name


def inner_path(name: Any) -> str:
    r"""A path below a folder, and nowhere else: no root, drive or `..`, in `/` or in `\`.

    Raises:
        TypeError: it is no text.
        ValueError: it leaves the folder, or no file system takes it.
    """
    if not isinstance(name, str) or "\0" in name:
        raise TypeError(f"file name {str(name)[:40]!r}")
    path = PureWindowsPath(name)  # knows both separators
    if path.anchor or ".." in path.parts or not path.parts:
        raise ValueError(f"file name {name[:80]!r} leaves its folder")
    if (
        len(os.fsencode(name)) > _LONGEST[0]
        or len(os.fsencode(max(path.parts, key=len))) > _LONGEST[1]
    ):
        raise ValueError(f"file name {name[:80]!r}... is too long")
    return name


def inner_file(name: str) -> str:
    """The same of a name that a study gives.

    Raises:
        UsageError: it leaves the folder.
    """
    try:
        return inner_path(name)
    except (TypeError, ValueError) as error:
        raise UsageError(
            "not a path inside a source or folder",
            expected="a relative path without ..",
            got=error,
        ) from error


def web_address(url: str) -> str:
    """A URL of a host and a file's name.

    Raises:
        UsageError: one of them is missing.
    """
    try:
        parts = urlsplit(url)
        named_host = parts.hostname and (parts.port is None or parts.port > 0)
        name = inner_path(parts.path.rpartition("/")[2])
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"not a download: {url[:200]!r}", expected="https://HOST/PATH/FILE", got=error
        ) from error
    if not named_host or "\\" in name or PurePosixPath(name).name != name:
        raise UsageError(f"not a download: {url[:200]!r}", expected="https://HOST/PATH/FILE")
    return url
