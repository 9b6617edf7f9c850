"""What is in the store, whether it is whole, and how it gets smaller."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quantbench.core.words import plural
from quantbench.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from quantbench.store.artifacts import Store

_IN_USE_S = 3600  # what was opened within the last hour may be in use by a run
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


@dataclass(frozen=True)
class Entry:
    """An entry of the store as its manifest describes it.

    Attributes:
        used_s: when it was last opened, seconds since the epoch.
        what: what it was made from, in a few words.
    """

    kind: str
    key: str
    size_bytes: int
    used_s: float
    what: str


def entries(store: Store) -> list[Entry]:
    """All of them, least recently used first; one without a readable manifest says so."""
    found = []
    for place in sorted(store.root.glob("*/*/manifest.json")):
        if place.parent.parent.name == "building":  # about to become one
            continue
        try:
            manifest = json.loads(place.read_text())
            size, what = int(manifest["size_bytes"]), what_of(manifest["ingredients"])
        except (OSError, ValueError, KeyError, TypeError):
            size, what = 0, "unreadable manifest"
        try:
            used_s = place.stat().st_mtime
        except FileNotFoundError:  # removed while this looked
            continue
        found.append(Entry(place.parent.parent.name, place.parent.name, size, used_s, what))
    return sorted(found, key=lambda entry: (entry.used_s, entry.key))


def what_of(ingredients: Mapping[str, Any]) -> str:  # noqa: C901 - a table
    """The shortest telling part of what it was made from; of a source, its text in a study."""
    match ingredients:
        case {"scheme": {"name": name}}:
            what = str(name)
        case {"evidence": _}:
            what = "metrics"
        case {"several": several}:
            what = _first_of([what_of(each) for each in several])
        case {"pypi": pin}:
            what = f"pypi:{pin}"
        case {"npm": pin}:
            what = f"npm:{'=='.join(str(pin).rsplit('@', 1))}"
        case {"hf": name, "revision": revision}:
            what = f"hf:{name}=={revision}"
        case {"kaggle": name, "version": version}:
            what = f"kaggle:{name}=={version}"
        case {"importer": name, "version": version}:
            what = f"{name} {version}"
        case {"samples": samples}:
            what = plural(len(samples), "sample")
        case {"name": name}:  # of a download
            what = str(name)
        case {"files": {**files}}:
            what = f"file:{_first_of(sorted(map(str, files)))}"
        case _:
            what = ", ".join(sorted(ingredients))[:40]
    return what


def _first_of(names: Sequence[str]) -> str:
    return f"{names[0]} and {len(names) - 1} more" if len(names) > 1 else "".join(names)


def damaged(store: Store) -> Iterator[Entry]:
    """Those whose files differ from their digests."""
    import warnings

    for entry in entries(store):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if not store.is_whole(entry.kind, entry.key):
                yield entry


def collect(store: Store, most: int, *, now_s: float | None = None) -> list[Entry]:
    """Remove what killed builds and downloads left, then the least recently used entries.

    Those go until `most` bytes are left. What was used within the last hour stays: a run may hold
    it. Returns what was removed.
    """
    limit = (time.time() if now_s is None else now_s) - _IN_USE_S
    store.sweep(downloads=True)
    every = entries(store)
    size = sum(entry.size_bytes for entry in every)
    removed = []
    for entry in every:
        if size <= most:
            break
        if store.remove(entry.kind, entry.key, unused_since_s=limit):
            size -= entry.size_bytes
            removed.append(entry)
    return removed


def clear(store: Store) -> list[Entry]:
    """Remove every entry, and what killed builds and downloads left."""
    store.sweep(downloads=True)
    return [entry for entry in entries(store) if store.remove(entry.kind, entry.key)]


def parse_size(text: str) -> int:
    """Bytes of "20GB", "500 MB", "1e9": powers of 1,000.

    Raises:
        UsageError: it is no size.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?(?:e\d{1,2})?)\s*([KMGT]?)B?\s*", text, re.IGNORECASE)
    if match is None:
        raise UsageError("not a size", expected="a number of bytes, or e.g. 20GB", got=repr(text))
    return int(float(match[1]) * _UNITS[match[2].upper()])
