"""Where results are kept: the folder of this machine, and a team's store behind it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from quantbench.errors import MissingExtraError, UsageError, meant

_SPELLINGS = {
    "s3": "s3://bucket/prefix",
    "gs": "gs://bucket/prefix",
    "az": "az://container/prefix",
    "file": "file:///folder/that/is/shared",
    "memory": "memory://name",
}
_URL = re.compile(
    r"(?:(?P<folder>.*),)?(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>.*)", re.DOTALL
)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9._=-]+)*/?")


@dataclass(frozen=True)
class Place:
    """What `--quant-cache` names.

    Attributes:
        folder: on this machine; None for the platform's cache directory.
        remote: URL of the store that a team shares, without credentials; None for none.
    """

    folder: Path | None = None
    remote: str | None = None

    def __str__(self) -> str:
        """As `parse_place` reads it."""
        return ",".join(str(each) for each in (self.folder, self.remote) if each is not None)


def parse_place(text: str | None) -> Place:
    """Read "DIR", "URL" or "DIR,URL".

    Raises:
        UsageError: neither; a URL that may hold credentials is not repeated.
        MissingExtraError: the client of such stores is not installed.
    """
    match = _URL.fullmatch(text or "")
    if match is None:
        return Place(parse_path("cache", text))
    scheme, rest = match["scheme"], match["rest"]
    if scheme not in _SPELLINGS:
        raise UsageError(
            "--quant-cache names no kind of store that is known",
            expected=f"a folder, or {', '.join(_SPELLINGS.values())}",
            got=f"{scheme}://",
            remedy=meant(scheme, _SPELLINGS),
        )
    if scheme == "file":
        right = rest.startswith("/") and rest.strip("/")
    else:
        right = _BUCKET.fullmatch(rest) or (scheme == "memory" and not rest)
    if not right:
        raise UsageError(
            "--quant-cache names no place in a store",
            expected=f"{_SPELLINGS[scheme]}, of letters, digits and . _ = -",
            remedy="credentials are no part of it: the client takes them from its usual places "
            "(docs/how-to/shared_store.md)",
        )
    if find_spec("obstore") is None:
        raise MissingExtraError(
            f"a store at {scheme}:// needs obstore, which is not installed",
            remedy='pip install "quantbench[remote]"',
        )
    return Place(parse_path("cache", match["folder"]), f"{scheme}://{rest.rstrip('/')}")


def parse_path(name: str, text: str | None) -> Path | None:
    """The path that an option names, absolute: a test may change the working directory.

    Raises:
        UsageError: no file can have that name.
    """
    try:
        path = Path(text).expanduser() if text else None
        if path is not None:
            path.exists()
    except (RuntimeError, OSError, ValueError) as error:  # ~somebody, a name that no file can have
        raise UsageError(f"--quant-{name}", expected="a path", got=f"{text!r}: {error}") from error
    return path and path.absolute()
