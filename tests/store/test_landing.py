"""Entries that another store built: taken in whole, or not at all."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from quantbench.errors import IntegrityError
from quantbench.run.executors.bundles import Bundle, land, packed
from quantbench.store.artifacts import Artifact, Store

if TYPE_CHECKING:
    from pathlib import Path


def build(folder: Path) -> dict[str, Any]:
    (folder / "weights.bin").write_bytes(bytes(range(256)) * 100)
    (folder / "inner").mkdir()
    (folder / "inner" / "empty").touch()
    return {"bits": 8}


@pytest.fixture
def entry(tmp_path: Path) -> Artifact:
    return Store(tmp_path / "there").get("artifact", {"a": 1}, build)


@pytest.fixture
def here(tmp_path: Path) -> Store:
    return Store(tmp_path / "here")


def never(_: Path) -> None:
    raise AssertionError("built again")


def test_an_entry_that_travelled_is_the_same_to_the_byte(entry: Artifact, here: Store) -> None:
    landed = land(here, packed(entry))
    manifests = [each.path.with_name("manifest.json") for each in (entry, landed)]
    assert manifests[0].read_bytes() == manifests[1].read_bytes()
    assert (landed.sha256, landed.details) == (entry.sha256, {"bits": 8})
    assert here.get("artifact", {"a": 1}, never).sha256 == entry.sha256


def test_what_is_there_already_stays(entry: Artifact, here: Store) -> None:
    own = here.get("artifact", {"a": 1}, lambda f: (f / "own").touch())
    assert land(here, packed(entry)).sha256 == own.sha256 != entry.sha256


def bent(bundle: Bundle, what: str) -> Bundle:
    files, manifest = dict(bundle.files), json.loads(bundle.manifest)
    match what:
        case "a bit":
            files["weights.bin"] = files["weights.bin"].copy()
            files["weights.bin"][7] ^= 1
        case "a file less":
            del files["inner/empty"]
        case "a file more":
            files["more"] = files["weights.bin"]
        case "other ingredients":
            manifest["ingredients"] = {"a": 2}
        case "a changed manifest":
            manifest["build_s"] = 77.0
        case "a file outside":
            files["../outside"] = files["weights.bin"]
            manifest["files"]["../outside"] = manifest["files"]["weights.bin"]
    return Bundle(bundle.kind, bundle.key, json.dumps(manifest).encode(), files)


@pytest.mark.parametrize(
    "what",
    ["a bit", "a file less", "a file more", "other ingredients", "a changed manifest",
     "a file outside"],
)  # fmt: skip
def test_a_bent_entry_is_refused_and_leaves_nothing(
    entry: Artifact, here: Store, what: str
) -> None:
    with pytest.raises(IntegrityError):
        land(here, bent(packed(entry), what))
    assert here.find("artifact", entry.key) is None
    assert not list(here.root.glob("building/*"))
    assert not (here.root / "artifact" / "outside").exists()
    assert land(here, packed(entry)).sha256 == entry.sha256


def test_many_may_land_it_at_once(entry: Artifact, here: Store) -> None:
    bundle, seen = packed(entry), []
    threads = [
        threading.Thread(target=lambda: seen.append(land(Store(here.root), bundle).sha256))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [entry.sha256] * 8
