"""The store: one build, never a wrong file, whatever dies or rots."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantbench.core.digests import digest_of
from quantbench.errors import CorruptedArtifactWarning, StoreError
from quantbench.store.artifacts import Store

INGREDIENTS = {"scheme": "int8", "seed": 0}


def write(folder: Path) -> dict[str, Any]:
    (folder / "weights").write_bytes(b"w" * 1000)
    (folder / "more").mkdir()
    (folder / "more" / "config.json").write_text("{}")
    return {"tool": "1.0"}


def test_what_a_killed_build_kept_is_there_for_the_next_and_gone_after_it(tmp_path: Path) -> None:
    """The usual sweep leaves it, the one that frees space takes it."""
    store = Store(tmp_path)
    kept = store.kept("artifact", INGREDIENTS)

    def build(folder: Path) -> dict[str, Any]:
        before = kept.read_text() if kept.exists() else ""
        kept.write_text(before + "a step, ")
        if before.count("step") < 2:
            raise RuntimeError("killed")
        (folder / "weights").write_text(before)
        return {}

    for _ in range(2):
        with pytest.raises(RuntimeError, match="killed"):
            store.get("artifact", INGREDIENTS, build)
        store.sweep()
    made = store.get("artifact", INGREDIENTS, build)
    assert (made.path / "weights").read_text() == "a step, a step, "
    assert not kept.exists()
    kept.write_text("a step, ")
    store.sweep()
    assert kept.exists()
    store.sweep(downloads=True)
    assert not kept.exists()


def test_an_artifact_is_built_once(tmp_path: Path) -> None:
    built = Store(tmp_path).get("artifact", INGREDIENTS, write)
    assert built.cache == "built"
    assert built.size_bytes == 1002
    assert built.details == {"tool": "1.0"}
    again = Store(tmp_path).get("artifact", INGREDIENTS, lambda _: pytest.fail("built twice"))
    assert (again.cache, again.sha256, again.path) == ("hit", built.sha256, built.path)
    assert (again.path / "more" / "config.json").read_text() == "{}"


@pytest.mark.parametrize(
    "other", [{"scheme": "int4", "seed": 0}, {"scheme": "int8", "seed": 1}, {"scheme": "int8"}]
)
def test_another_ingredient_is_another_artifact(tmp_path: Path, other: dict[str, Any]) -> None:
    store = Store(tmp_path)
    first = store.get("artifact", INGREDIENTS, write)
    assert store.get("artifact", other, write).key != first.key
    assert store.get("evidence", INGREDIENTS, write).key != first.key


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=5))
def test_a_key_does_not_depend_on_the_order_of_ingredients(value: dict[str, Any]) -> None:
    assert digest_of(value) == digest_of(dict(reversed(value.items())))


@pytest.mark.parametrize("victim", ["files/weights", "files/more/config.json", "manifest.json"])
def test_a_flipped_byte_is_reported_and_rebuilt(tmp_path: Path, victim: str) -> None:
    built = Store(tmp_path).get("artifact", INGREDIENTS, write)
    path = built.path.parent / victim
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x80
    path.write_bytes(content)
    with pytest.warns(CorruptedArtifactWarning, match="is damaged"):
        again = Store(tmp_path).get("artifact", INGREDIENTS, write)
    assert again.cache == "built"
    assert again.sha256 == built.sha256


def test_a_changed_manifest_is_found_too(tmp_path: Path) -> None:
    """It holds facts that go into the record."""
    built = Store(tmp_path).get("artifact", INGREDIENTS, write)
    manifest = built.path.parent / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"tool": "1.0"', '"tool": "9.0"'))
    with pytest.warns(CorruptedArtifactWarning, match=r"manifest\.json is damaged"):
        assert Store(tmp_path).get("artifact", INGREDIENTS, write).details == {"tool": "1.0"}
    manifest.write_text("[]")
    with pytest.warns(CorruptedArtifactWarning):
        Store(tmp_path).get("artifact", INGREDIENTS, write)


def test_a_cache_that_is_a_file_is_explained(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("not a folder")
    with pytest.raises(StoreError, match="it is no folder"):
        Store(tmp_path / "cache").get("artifact", INGREDIENTS, write)


def test_a_cache_is_made_wherever_it_is_named(tmp_path: Path) -> None:
    root = tmp_path / "not" / "there" / "yet"
    assert Store(root).get("artifact", INGREDIENTS, write).cache == "built"


@pytest.mark.parametrize(
    ("error", "expected", "message"),
    [
        (PermissionError(errno.EACCES, "denied", "/elsewhere/model"), PermissionError, "elsewhere"),
        (OSError(errno.ENOEXEC, "no program", "/elsewhere/tool"), OSError, "elsewhere"),
        (OSError(errno.ENOSPC, "full", "/elsewhere/scratch"), StoreError, "the disk is full"),
        (OSError(errno.EROFS, "read-only", None), StoreError, "the file system is read-only"),
    ],
)
def test_what_is_refused_elsewhere_is_no_matter_of_the_cache_unless_a_disk_is_full(
    tmp_path: Path, error: OSError, expected: type[Exception], message: str
) -> None:
    def refused(folder: Path) -> None:
        del folder
        raise error

    with pytest.raises(expected, match=message) as caught:
        Store(tmp_path).get("artifact", INGREDIENTS, refused)
    assert caught.type is expected


def test_what_is_refused_inside_the_cache_is_explained(tmp_path: Path) -> None:
    def refused(folder: Path) -> None:
        raise PermissionError(errno.EACCES, "denied", str(folder / "weights"))

    with pytest.raises(StoreError, match=r"(?s)no permission to write.*files/weights"):
        Store(tmp_path).get("artifact", INGREDIENTS, refused)


def test_every_file_is_on_disk_before_the_entry_appears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a power cut could leave an entry whose files are empty."""
    synced: list[str] = []

    def sync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.append(path.name)
        assert path.is_relative_to(tmp_path / "building")

    monkeypatch.setattr(os, "fsync", sync)
    Store(tmp_path).get("artifact", INGREDIENTS, write)
    assert sorted(synced) == ["config.json", "manifest.json", "weights"]


def test_an_entry_can_be_looked_at_and_taken_away(tmp_path: Path) -> None:
    key = Store(tmp_path).get("artifact", INGREDIENTS, write).key  # by a process that has ended
    store = Store(tmp_path)
    assert store.has("artifact", INGREDIENTS)
    assert not store.has("evidence", INGREDIENTS)
    assert store.is_whole("artifact", key)
    assert not store.is_whole("evidence", key)
    used_s = (tmp_path / "artifact" / key / "manifest.json").stat().st_mtime
    assert not store.remove("artifact", key, unused_since_s=used_s - 1)
    assert store.has("artifact", INGREDIENTS)
    assert store.remove("artifact", key, unused_since_s=used_s)
    assert not store.has("artifact", INGREDIENTS)
    assert not store.is_whole("artifact", key)
    assert not store.remove("artifact", key)
    assert list((tmp_path / "building").iterdir()) == []
    store.get("artifact", INGREDIENTS, write)
    assert store.remove("artifact", key), "whoever asks for it by name may, though it is in use"
    assert store.find("artifact", key) is None


def test_what_killed_builds_left_is_swept_and_what_is_being_built_is_not(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def sweep(folder: Path) -> None:
        (tmp_path / "building" / "dead.xyz").mkdir()
        Store(tmp_path).sweep()
        assert [path.name for path in folder.parent.parent.iterdir()] == [folder.parent.name]
        write(folder)

    assert store.get("artifact", INGREDIENTS, sweep).cache == "built"


def test_a_lost_file_is_reported_and_rebuilt(tmp_path: Path) -> None:
    built = Store(tmp_path).get("artifact", INGREDIENTS, write)
    (built.path / "weights").unlink()
    with pytest.warns(CorruptedArtifactWarning, match="no such file"):
        assert Store(tmp_path).get("artifact", INGREDIENTS, write).cache == "built"


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise RuntimeError("op 7")

    with pytest.raises(RuntimeError, match="op 7"):
        Store(tmp_path).get("artifact", INGREDIENTS, fail)
    assert list((tmp_path / "building").iterdir()) == []
    assert Store(tmp_path).get("artifact", INGREDIENTS, write).cache == "built"


KILLED_BUILD = """
import sys, time
from pathlib import Path
from quantbench.store.artifacts import Store

def slow(folder):
    (folder / "weights").write_bytes(b"wrong")
    print("building", flush=True)
    time.sleep(60)

Store(Path(sys.argv[1])).get("artifact", {"scheme": "int8", "seed": 0}, slow)
"""


def test_a_build_killed_by_sigkill_is_never_served(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED_BUILD, str(tmp_path)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert len(list((tmp_path / "building").iterdir())) == 1
    again = Store(tmp_path).get("artifact", INGREDIENTS, write)  # the dead owner's lock is free
    assert again.cache == "built"
    assert (again.path / "weights").read_bytes() == b"w" * 1000
    assert list((tmp_path / "building").iterdir()) == []


def build_slowly(root: Path, log: Path, start: Any, answers: Any) -> None:
    def slow(folder: Path) -> None:
        with log.open("a") as lines:
            lines.write("built\n")
        time.sleep(0.3)
        write(folder)

    start.wait()
    answers.put(Store(root).get("artifact", INGREDIENTS, slow).cache)


def test_of_two_processes_one_builds_and_the_other_waits(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start, answers, log = context.Barrier(2), context.Queue(), tmp_path / "log"
    workers = [
        context.Process(target=build_slowly, args=(tmp_path, log, start, answers)) for _ in range(2)
    ]
    for worker in workers:
        worker.start()
    assert sorted(answers.get(timeout=60) for _ in workers) == ["built", "hit"]
    for worker in workers:
        worker.join()
    assert log.read_text() == "built\n"


def test_a_full_disk_is_explained(tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        with Path("/dev/full").open("w") as device:
            device.write("x" * 10_000)
        del folder

    with pytest.raises(StoreError, match=r"(?s)the disk is full.*--quant-cache") as caught:
        Store(tmp_path).get("artifact", INGREDIENTS, fill)
    assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_cache_is_explained(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="no permission to write"):
        Store(tmp_path).get("artifact", INGREDIENTS, write)


def test_a_hit_needs_no_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When an entry was last used is noted where it can be, and that alone."""
    Store(tmp_path).get("artifact", INGREDIENTS, write)

    def refused(path: Path) -> None:
        raise OSError(errno.EROFS, "read-only", str(path))

    monkeypatch.setattr(os, "utime", refused)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert Store(tmp_path).get("artifact", INGREDIENTS, write).cache == "hit"
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
