"""What an entry is: its ingredients, the digest of each file, and what its builder said."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from quantbench.core.digests import as_digest, digest_of, sha256_of
from quantbench.core.jsons import loads

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NAME = "manifest.json"
_SCHEMA = 1


def key_of(kind: str, ingredients: Mapping[str, Any]) -> str:
    """The digest that an entry is kept under."""
    return digest_of({"kind": kind, **ingredients})


def write_manifest(
    folder: Path, ingredients: Mapping[str, Any], details: Mapping[str, Any], build_s: float
) -> None:
    """Put it beside the finished `files` of a folder."""
    files = folder / "files"
    names = sorted(path for path in files.rglob("*") if path.is_file())
    manifest = {
        "schema": _SCHEMA,
        "ingredients": dict(ingredients),
        "files": {path.relative_to(files).as_posix(): sha256_of(path) for path in names},
        "size_bytes": sum(path.stat().st_size for path in names),
        "build_s": round(build_s, 3),
        "details": dict(details),
    }
    manifest["sha256"] = digest_of(manifest)
    (folder / NAME).write_text(json.dumps(manifest, indent=1, sort_keys=True))


def read_manifest(text: str | bytes) -> dict[str, Any]:
    """A manifest with its digest, which is checked.

    Raises:
        ValueError, RecursionError: it is none.
        DigestError: it is one that was changed.
    """
    manifest = loads(text)
    if not isinstance(manifest, dict):
        raise ValueError("no JSON object")  # noqa: TRY004 - one kind of error for whatever it is
    rest = {name: value for name, value in manifest.items() if name != "sha256"}
    got = digest_of(rest)
    if manifest.get("sha256") != got:
        raise DigestError(manifest.get("sha256"), got)
    return manifest


class DigestError(ValueError):
    """Bytes have another digest than they should: `expected` and `got`."""

    def __init__(self, expected: object, got: str) -> None:
        """Keep both."""
        super().__init__(f"expected {expected}, got {got}")
        self.expected, self.got = expected, got


def check_foreign(manifest: Mapping[str, Any], kind: str, key: str) -> None:
    """Refuse a manifest from elsewhere that does not belong to the key, or leads out of its folder.

    Raises:
        ValueError, TypeError, LookupError, AttributeError: as `core.jsons.MALFORMED` names them.
    """
    if (got := key_of(kind, manifest["ingredients"])) != key:
        raise DigestError(key, got)
    for name, digest in manifest["files"].items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or path.as_posix() != name or "\0" in name:
            raise ValueError(f"a file's name leads out of the entry: {name[:80]!r}")
        as_digest(digest)
    if not isinstance(manifest["size_bytes"], int) or manifest["size_bytes"] < 0:
        raise ValueError("no size")
    float(manifest["build_s"])
    dict(manifest["details"])
