"""Per-sample rows as the store keeps them: in shards, so that a killed evaluation goes on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from quantbench.core.digests import digest_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from quantbench.protocols import Row
    from quantbench.store.artifacts import Artifact

ROWS = "rows.jsonl"
SHARD = 256  # samples: what a killed evaluation may lose
_FIRST_LOOK = 50


@dataclass(frozen=True)
class Evidence:
    """Rows of consecutive blocks of samples, with what was measured while they were made."""

    shards: tuple[Artifact, ...]

    @property
    def keys(self) -> list[str]:
        """In the store."""
        return [shard.key for shard in self.shards]

    @property
    def sha256(self) -> str:
        """Of all rows in their order."""
        return digest_of([shard.sha256 for shard in self.shards])

    @property
    def machines(self) -> list[Mapping[str, Any]]:
        """The kinds of machines that predicted it, each once; none of evidence of before."""
        found: list[Mapping[str, Any]] = []
        for shard in self.shards:
            if "machine" in shard.details and shard.details["machine"] not in found:
                found.append(shard.details["machine"])
        return found

    @property
    def cache(self) -> Literal["hit", "built"]:
        """Whether any of it was predicted in this run."""
        return "built" if any(shard.cache == "built" for shard in self.shards) else "hit"

    @cached_property
    def rows(self) -> list[Row]:
        """All of them, in the order of the samples."""
        return [row for shard in self.shards for row in _read(shard)]

    def extended(self, shard: Artifact) -> Evidence:
        """With one block more; rows that were read already are not read again."""
        more = Evidence((*self.shards, shard))
        if "rows" in vars(self):
            vars(more)["rows"] = [*self.rows, *_read(shard)]
        return more

    @cached_property
    def measured(self) -> Mapping[str, Any]:
        """`predict_s` and `tokens` summed up, peaks, and the runner's facts."""
        parts = [shard.details for shard in self.shards]
        return {
            "predict_s": round(sum(part["predict_s"] for part in parts), 3),
            "tokens": sum(part["tokens"] for part in parts),
            "peak_rss_bytes": _highest(parts, "peak_rss_bytes"),
            "peak_device_bytes": _highest(parts, "peak_device_bytes"),
            "runner": parts[0]["runner"],
        }


def _read(shard: Artifact) -> list[Row]:
    with (shard.path / ROWS).open() as lines:
        return [json.loads(line) for line in lines]


def blocks(n: int, *, growing: bool = False) -> list[range]:
    """How n samples are cut: into shards, or so that each look has a seventh more than the last.

    A verdict that could have come at any sample then comes at most a seventh too late; blocks that
    double cost a quarter of all samples (`tests/stats/test_sequential.py`).
    """
    found, start, size = [], 0, _FIRST_LOOK if growing else SHARD
    while start < n:
        found.append(range(start, min(start + size, n)))
        start += size
        size = -(-start // 7) if growing else size
    return found


def _highest(parts: Sequence[Mapping[str, Any]], name: str) -> int | None:
    return max((part[name] for part in parts if part[name] is not None), default=None)
