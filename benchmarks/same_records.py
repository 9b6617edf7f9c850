"""Whether two runs of a study recorded the same: for changes that are to change no number.

    python benchmarks/same_records.py BEFORE.json AFTER.json

What a run takes in time and memory, digests, keys, paths and versions differ between any two runs
and are left out. A value that the second file adds is counted, one that it lacks or changes is a
difference. Exit status 1 if there is one.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

# Of a run, not of what it found.
LEFT_OUT = {
    *("timings_s", "latency", "cache", "seconds", "decoding"),
    *("peak_rss_bytes", "peak_device_bytes", "memory_footprint_bytes", "energy", "carbon"),
    *("sha256", "keys", "protocol", "float_sha256", "recipe"),
}
TIMED = ("_tokens_per_s",)


def main(before: str, after: str) -> None:
    """Print what differs."""
    one, other = (dict(records(json.loads(Path(path).read_text()))) for path in (before, after))
    known, now = dict(leaves(one)), dict(leaves(other))
    lost = [place for place in known if place not in now]
    changed = [p for p in known if p in now and not same(known[p], now[p])]
    for place in [*lost, *changed]:
        print(f"{'.'.join(place)}: {known[place]!r} -> {now.get(place, 'gone')!r}")  # noqa: T201
    added = sorted({place[-1] for place in now if place not in known})
    print(  # noqa: T201 - a script
        f"{len(one)} cases, {len(known)} values: {len(lost)} gone, {len(changed)} changed, "
        f"{len(now) - len(known) + len(lost)} new ({', '.join(added) or 'none'})"
    )
    sys.exit(1 if lost or changed or one.keys() != other.keys() else 0)


def records(document: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Each case's record."""
    for record in document["quantbench"]["records"]:
        yield record["case"], record


def leaves(value: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every number and text with where it stands."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name not in LEFT_OUT and not name.endswith(TIMED):
                yield from leaves(inner, (*place, name))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from leaves(inner, (*place, str(i)))
    else:
        yield place, value


def same(one: Any, other: Any) -> bool:
    """Equal to the last digit; NaN is NaN."""
    return bool(one == other or (one != one and other != other))  # noqa: PLR0124


if __name__ == "__main__":
    main(*sys.argv[1:])
