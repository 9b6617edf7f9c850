"""Upkeep of a team's store: listed, verified, made smaller; what is not ours stays."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from quantbench.errors import RemoteStoreError
from quantbench.store.remote import Remote
from quantbench.store.sharing import collect_shared, damaged_shared, remove_shared, shared
from tests.store.s3 import Fault
from tests.store.test_remote import HASTY, INGREDIENTS, Machines, builder, never, shared_files

if TYPE_CHECKING:
    from pathlib import Path

    from tests.store.s3 import Team

DAYS = timedelta(days=1)


@pytest.fixture
def machines(tmp_path: Path) -> Machines:
    (tmp_path / "shared").mkdir()
    return Machines(tmp_path, f"file://{tmp_path}/shared")


def remote(machines: Machines) -> Remote:
    return Remote(machines.url, HASTY)


def fill(machines: Machines, *seeds: int) -> list[str]:
    """Entries, each a minute younger than the last; their keys."""
    keys = []
    for i, seed in enumerate(seeds):
        made = machines.store("one").get("artifact", {"seed": seed}, builder(b"w" * 1000))
        keys.append(made.key)
        for path in shared_files(machines):
            if made.key in str(path):
                os.utime(path, (time.time() - 3600 + 60 * i,) * 2)
    return keys


def test_entries_are_listed_the_oldest_first_with_what_they_are(machines: Machines) -> None:
    keys = fill(machines, 3, 1, 2)
    machines.store("one").get("artifact", {"scheme": {"name": "gptq\x1b[31m_int4"}}, builder())
    found = [each.entry for each in shared(remote(machines))]
    assert [entry.key for entry in found[:3]] == keys
    assert [entry.what for entry in found] == ["seed"] * 3 + ["gptq?[31m_int4"]
    assert all(1002 < entry.size_bytes < 3000 for entry in found[:3])
    assert found[0].kind == "artifact"


def test_damage_is_found_and_taken_away_and_the_next_builder_fills_the_gap(
    machines: Machines,
) -> None:
    good, *bad = fill(machines, 1, 2, 3, 4)
    for key, content in zip(bad, (b"other", None, b"{}"), strict=True):
        name = "manifest.json" if content == b"{}" else None
        (path, *_) = [
            path
            for path in shared_files(machines)
            if key in str(path) and (path.name == name if name else len(path.name) == 64)
        ]
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)
    found = list(damaged_shared(remote(machines)))
    assert sorted(each.entry.key for each in found) == sorted(bad)
    for each in found:
        remove_shared(remote(machines), each)
    assert [each.entry.key for each in shared(remote(machines))] == [good]
    assert machines.store("two").get("artifact", {"seed": 2}, builder()).cache == "built"
    assert machines.store("three").get("artifact", {"seed": 2}, never).cache == "hit"


def test_the_oldest_go_until_the_store_is_small_enough(machines: Machines) -> None:
    keys = fill(machines, 1, 2, 3)
    sizes = [each.entry.size_bytes for each in shared(remote(machines))]
    removed = collect_shared(remote(machines), sum(sizes) - 1)
    assert [entry.key for entry in removed] == keys[:1]
    assert [each.entry.key for each in shared(remote(machines))] == keys[1:]
    removed = collect_shared(remote(machines), 0)
    assert [entry.key for entry in removed] == keys[1:]
    assert shared_files(machines) == []


def test_what_killed_uploads_left_goes_a_day_later_and_not_before(machines: Machines) -> None:
    """Also the files of one who came second."""
    killed, kept = fill(machines, 1, 2)
    (path,) = [p for p in shared_files(machines) if killed in str(p) and p.suffix == ".json"]
    path.unlink()
    second = machines.root / "shared" / "artifact" / kept / ("a" * 64) / ("b" * 64)
    second.parent.mkdir()
    second.write_bytes(b"x" * 500)
    whole = sum(each.entry.size_bytes for each in shared(remote(machines)))
    assert collect_shared(remote(machines), whole) == []
    assert second.exists()
    now = datetime.now(UTC) + 2 * DAYS
    assert collect_shared(remote(machines), whole, now=now) == []
    (left,) = shared(remote(machines))
    assert left.entry.key == kept
    assert not second.exists()
    assert machines.store("two").get("artifact", {"seed": 2}, never).cache == "hit"


def test_what_is_not_an_entry_is_left_alone(machines: Machines) -> None:
    fill(machines, 1)
    other = machines.root / "shared" / "artifact" / "notes.txt"
    other.write_text("ours")
    (machines.root / "shared" / "photo.jpg").write_text("theirs")
    collect_shared(remote(machines), 0, now=datetime.now(UTC) + 2 * DAYS)
    assert [path.name for path in shared_files(machines)] == ["notes.txt", "photo.jpg"]


def test_an_entry_that_goes_while_it_is_fetched_is_a_miss_and_no_damage(
    tmp_path: Path, team: Team
) -> None:
    machines = Machines(tmp_path, team.url)
    machines.store("one").get("artifact", INGREDIENTS, builder())
    (each,) = shared(remote(machines))

    def gone(method: str, path: str) -> bool:
        if method == "GET" and not path.endswith("manifest.json"):
            team.proxy.faults.clear()
            remove_shared(remote(machines), each)
        return False

    team.proxy.faults.append(Fault(gone))
    assert machines.store("two").get("artifact", INGREDIENTS, builder()).cache == "built"
    assert machines.store("three").get("artifact", INGREDIENTS, never).cache == "hit"


def test_all_of_it_works_on_s3(tmp_path: Path, team: Team) -> None:
    machines = Machines(tmp_path, team.url)
    for seed in range(3):
        machines.store("one").get("artifact", {"seed": seed}, builder())
    assert len(shared(remote(machines))) == 3
    assert list(damaged_shared(remote(machines))) == []
    assert len(collect_shared(remote(machines), 0)) == 3
    assert shared(remote(machines)) == []


def test_upkeep_of_a_store_that_refuses_is_an_error(tmp_path: Path, team: Team) -> None:
    team.proxy.faults.append(Fault(status=403, code="AccessDenied"))
    with pytest.raises(RemoteStoreError, match="access is denied"):
        shared(Remote(team.url, HASTY))
