"""Sums, maxima, and the sentence that they make."""

from __future__ import annotations

import json
from typing import Any

import pytest

from quantbench.run.planning.plan import CasePlan, Need, Plan, Room
from quantbench.run.planning.telling import duration, sentence, size, table, unknowns

ROOM = Room(memory=24 * 10**9, disk=100 * 10**9)
SHARED = Need(kind="fetch", what="hf:a", words="hf:a", fetch_bytes=2e9, disk_bytes=4e9)
BUILD = Need(
    kind="build", what="net int4", words="int4", disk_bytes=1e9, memory_bytes=9e9, seconds=7200,
    rests_on="measured here",
)  # fmt: skip


def plan(*needs: Need, room: Room = ROOM, **more: Any) -> Plan:
    return Plan((CasePlan("net-int4-data", "net", "int4", needs),), room, **more)


def test_what_cases_share_counts_once_in_the_sum_and_in_each_of_them() -> None:
    both = Plan(
        (
            CasePlan("net-float-data", "net", "float", (SHARED,)),
            CasePlan("net-int4-data", "net", "int4", (SHARED, BUILD)),
        ),
        ROOM,
    )
    assert both.fetch.known == 2e9
    assert both.disk.known == 5e9
    rows = list(table(both))
    assert [row[1] for row in rows] == ["fetch", "2.0 GB", "2.0 GB"]


def test_a_study_that_fits_says_what_it_takes() -> None:
    assert sentence(plan(SHARED, BUILD)) == (
        "fits: fetches 2.0 GB, 5.0 GB of disk, 9.0 GB of memory, about 2.0 hours"
    )


def test_a_study_that_does_not_fit_says_where_and_by_how_much() -> None:
    made = plan(SHARED, BUILD, room=Room(memory=8 * 10**9, disk=10**9))
    assert not made.fits
    assert sentence(made) == (
        "net under int4 will not fit: needs 9.0 GB of memory for int4, this machine has 8.0 GB"
        "; it needs 5.0 GB of disk too, of 1.0 GB"
    )


def test_a_disk_that_is_too_small_is_said_to_be_free_and_not_had() -> None:
    made = plan(SHARED, BUILD, room=Room(memory=10**12, disk=10**9))
    assert sentence(made).endswith("needs 5.0 GB of disk, 1.0 GB are free")


def test_gpu_memory_counts_where_there_is_a_gpu() -> None:
    on_gpu = Need(kind="predict", what="x", words="int4", device_bytes=30e9)
    assert plan(on_gpu).fits
    made = plan(on_gpu, room=Room(memory=10**12, disk=10**12, device=24 * 10**9))
    assert "30 GB of GPU memory for int4" in sentence(made)


def test_the_unknown_is_named_and_never_counted_as_nothing() -> None:
    odd = Need(
        kind="build", what="y", words="odd", fetch_bytes=None, disk_bytes=None, memory_bytes=None,
        seconds=None, rests_on="unknown: never done here",
    )  # fmt: skip
    told = sentence(plan(BUILD, odd))
    assert "at least 1.0 GB of disk" in told
    assert "at least 2.0 hours" in told
    assert "fetches an unknown number of bytes" in told
    assert len(unknowns(plan(BUILD, odd))) == 4
    assert all("odd" in line for line in unknowns(plan(BUILD, odd)))
    assert list(table(plan(odd)))[1][1:5] == ("unknown",) * 4


def test_everything_in_the_store_takes_nothing() -> None:
    assert sentence(plan()) == (
        "fits: everything is in the store, nothing is fetched, built or predicted"
    )
    assert list(table(plan()))[1] == ("net-int4-data", "0", "0", "0", "0", "in the store")


def test_frameworks_that_stay_loaded_stand_beside_the_largest_step() -> None:
    assert plan(BUILD, kept_bytes=1e9).memory.known == 10e9
    assert plan(SHARED, kept_bytes=1e9).memory.known == 0


def test_json_has_every_number() -> None:
    told = json.loads(json.dumps(plan(SHARED, BUILD).as_json()))
    assert told["fits"] is True
    assert told["total"]["disk"] == {"known": 5e9, "unknown": [], "at": ""}
    assert [need["kind"] for need in told["cases"][0]["needs"]] == ["fetch", "build"]


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "0"), (990, "990 bytes"), (1e6, "1.0 MB"), (26.96e9, "27 GB"), (999.6e6, "1.0 GB"),
     (9.949e9, "9.9 GB"), (9.96e9, "10 GB"), (3e12, "3.0 TB")],
)  # fmt: skip
def test_bytes_in_words(number: float, words: str) -> None:
    assert size(number) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 seconds"), (89, "89 seconds"), (90, "1.5 minutes"), (600, "10 minutes"),
     (3599, "60 minutes"), (5400, "1.5 hours"), (36000, "10 hours")],
)  # fmt: skip
def test_seconds_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words
