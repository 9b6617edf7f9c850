"""What is in a team's store, whether it is whole, and how it gets smaller.

Object stores do not keep when something was read: the oldest written goes first. Whatever is under
the URL and is no entry's is left alone.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from quantbench.store.manifests import NAME
from quantbench.store.upkeep import Entry, what_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from quantbench.store.objects import Object
    from quantbench.store.remote import Remote

_PATH = re.compile(rf"(\w+)/([0-9a-f]{{64}})/(?:{re.escape(NAME)}|([0-9a-f]{{64}})/[0-9a-f]{{64}})")
_UNFINISHED = timedelta(days=1)  # what is younger may be an upload that goes on
_AT_ONCE = 8  # requests


@dataclass(frozen=True)
class Shared:
    """An entry of a team's store.

    Attributes:
        entry: as `upkeep` describes one; `used_s` is when it was written.
        manifest: checked; None where there is none that is whole.
        objects: everything under its key.
    """

    entry: Entry
    manifest: Mapping[str, Any] | None
    objects: tuple[Object, ...]

    @property
    def begun(self) -> bool:
        """Whether it has no manifest yet: an upload that goes on, or was killed."""
        return not any(each.path.endswith(NAME) for each in self.objects)

    def left_behind(self, now: datetime) -> list[Object]:
        """Files of writers that came second, or were killed, a day ago or more."""
        if self.manifest is None and not self.begun:
            return []
        kept = {NAME, (self.manifest or {}).get("sha256")}
        return [
            each
            for each in self.objects
            if each.path.split("/")[2] not in kept and now - each.written > _UNFINISHED
        ]


def shared(remote: Remote) -> list[Shared]:
    """All entries, the oldest written first, with uploads that have no manifest yet.

    Raises:
        RemoteStoreError: the store fails.
    """
    found: dict[tuple[str, str], list[Object]] = defaultdict(list)
    for each in remote.objects.list():
        if match := _PATH.fullmatch(each.path):
            found[match[1], match[2]].append(each)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        every = list(pool.map(partial(_described, remote), found, found.values()))
    return sorted(every, key=lambda each: (each.entry.used_s, each.entry.key))


def _described(remote: Remote, named: tuple[str, str], objects: list[Object]) -> Shared:
    kind, key = named
    read = remote.manifest(kind, key, report=False)
    manifest = read[0] if read else None
    ended = [each.written for each in objects if each.path.endswith(NAME)]
    written = max(ended or [each.written for each in objects])
    what = "unreadable manifest" if ended else "unfinished upload"
    if manifest:
        what = what_of(manifest["ingredients"])
    what = "".join(letter if letter.isprintable() else "?" for letter in what)
    size = sum(each.size_bytes for each in objects)
    return Shared(Entry(kind, key, size, written.timestamp(), what), manifest, tuple(objects))


def damaged_shared(remote: Remote) -> Iterator[Shared]:
    """Entries whose manifest is none, or whose files differ from their digests.

    Raises:
        RemoteStoreError: the store fails.
    """
    for each in shared(remote):
        if not each.begun and not _is_whole(remote, each):
            yield each


def _is_whole(remote: Remote, each: Shared) -> bool:
    if each.manifest is None:
        return False
    for expected in each.manifest["files"].values():
        got = hashlib.sha256()
        for part in remote.parts(each.entry.kind, each.entry.key, each.manifest, expected):
            got.update(part)
        if got.hexdigest() != expected:
            return False
    return True


def remove_shared(remote: Remote, each: Shared) -> None:
    """Take an entry away: its manifest first, so that nobody finds half of it.

    Raises:
        RemoteStoreError: the store fails, or may only be read.
    """
    for path in sorted(
        (one.path for one in each.objects), key=lambda path: not path.endswith(NAME)
    ):
        remote.objects.delete(path)


def collect_shared(remote: Remote, most: int, *, now: datetime | None = None) -> list[Entry]:
    """Remove what writers left behind, then the oldest written entries until `most` bytes are left.

    Returns the entries that went.

    Raises:
        RemoteStoreError: the store fails, or may only be read.
    """
    now = now or datetime.now(UTC)
    every, removed = shared(remote), []
    size = sum(each.entry.size_bytes for each in every)
    for each in every:
        for left in each.left_behind(now):
            remote.objects.delete(left.path)
            size -= left.size_bytes
    for each in every:
        if size <= most:
            break
        if not each.begun:
            remove_shared(remote, each)
            old = sum(left.size_bytes for left in each.left_behind(now))
            size -= each.entry.size_bytes - old
            removed.append(each.entry)
    return removed
