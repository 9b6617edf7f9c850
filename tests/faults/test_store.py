"""The store under kills, full and read-only disks, wrong clocks and what the dead left behind."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from quantbench.errors import StoreError
from quantbench.store.artifacts import Store
from quantbench.store.upkeep import collect, entries
from tests.faults.conftest import KILLS, ROOT
from tests.faults.dying import Killed, dying
from tests.faults.entries import builder, fault_of, ingredients

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

YEARS_S = 10 * 365 * 86_400


def python(code: str, *arguments: str, before: Sequence[str] = ()) -> dict[str, Any]:
    """What the code prints as JSON, run by a Python of its own."""
    done = subprocess.run(
        [*before, sys.executable, "-c", code, *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_no_kill_lets_a_wrong_entry_be_served_or_anybody_wait_for_ever(tmp_path: Path) -> None:
    """Eight processes, the same six entries; see campaign.py."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.campaign", str(KILLS), "2026", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=120 + 20 * KILLS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    sys.stdout.write(done.stdout)
    assert figures["wrong"] == []
    assert figures["failures"] == []
    assert figures["stuck"] == 0
    assert figures["kills"] >= figures["rounds"] == KILLS
    assert figures["served"] > KILLS * 10


def get(root: Path, build: str, name: str = "a") -> Any:
    return Store(root).get("artifact", ingredients(name), builder(name, build))


def steps_of(root: Path, what: Any) -> int:
    with dying(None) as steps:
        what(root)
    return steps.taken


def test_whatever_step_a_build_dies_at_the_next_one_is_right(tmp_path: Path) -> None:
    many = steps_of(tmp_path / "whole", lambda root: get(root, "dead"))
    assert many > 8, "no steps were counted"
    outcomes = set()
    for last in range(many):
        root = tmp_path / str(last)
        with pytest.raises(Killed), dying(last):
            get(root, "dead")
        served = get(root, "alive")
        assert fault_of(served, "a") is None, last
        outcomes.add(served.details["build"])
        Store(root).sweep()
        assert list((root / "building").iterdir()) == [], last
    assert outcomes == {"dead", "alive"}, "the last steps come after the rename"


@pytest.mark.filterwarnings("ignore::quantbench.errors.CorruptedArtifactWarning")
def test_whatever_step_a_rebuild_of_damage_dies_at_the_next_one_is_right(tmp_path: Path) -> None:
    def damaged(root: Path) -> None:
        (get(root, "first").path / "weights").write_text("rotten")

    damaged(tmp_path / "whole")
    for last in range(steps_of(tmp_path / "whole", lambda root: get(root, "dead"))):
        root = tmp_path / str(last)
        damaged(root)
        with pytest.raises(Killed), dying(last):
            get(root, "dead")
        served = get(root, "alive")
        assert fault_of(served, "a") is None, last
        assert served.details["build"] in {"dead", "alive"}


def test_whatever_step_a_removal_dies_at_the_entry_is_whole_or_gone(tmp_path: Path) -> None:
    def remove(root: Path) -> None:
        (entry,) = entries(Store(root))
        Store(root).remove(entry.kind, entry.key)

    get(tmp_path / "whole", "first")
    for last in range(steps_of(tmp_path / "whole", remove)):
        root = tmp_path / str(last)
        get(root, "first")
        with pytest.raises(Killed), dying(last):
            remove(root)
        assert fault_of(get(root, "second"), "a") is None, last
        Store(root).sweep()
        assert list((root / "building").iterdir()) == [], last


SMALL_DISK = """
import json, os, subprocess, sys
from multiprocessing import get_context
from pathlib import Path
from quantbench.store.artifacts import Store
from quantbench.errors import StoreError
from tests.faults.entries import builder, fault_of, ingredients

root = Path(sys.argv[1])
ballast, cache = root / "ballast", root / "cache"

def leave(free):
    ballast.write_bytes(b"")
    try:
        with ballast.open("wb", buffering=0) as file:
            while file.write(b"x" * 4096):
                pass
    except OSError:
        os.truncate(ballast, max(0, ballast.stat().st_size - free))

def ask(name):
    try:
        fault = fault_of(Store(cache).get("evidence", ingredients(name), builder(name, "2")), name)
    except StoreError as error:
        return str(error)
    return f"wrong {fault}" if fault else "served"

subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", root], check=True)
assert ask("kept") == "served"
said = []
for free in range(0, 64 * 1024, 4096):  # each step of a build meets the full disk once
    leave(free)
    said += [ask(f"new-{free}"), ask("kept")]
    if said[-2] == "served":
        for entry in cache.glob("evidence/*"):
            if entry.name != Store(cache).get("evidence", ingredients("kept"), None).key:
                Store(cache).remove("evidence", entry.name)
leave(8192)
with get_context("fork").Pool(8) as pool:
    together = pool.map_async(ask, ["wanted"] * 8).get(timeout=60)
ballast.unlink()
print(json.dumps({"said": said, "together": together, "after": ask("wanted"),
                  "left": os.listdir(cache / "building")}))
"""

READ_ONLY = """
import json, subprocess, sys, warnings
from pathlib import Path
from quantbench.store.artifacts import Store
from quantbench.errors import StoreError
from quantbench.store.upkeep import collect
from tests.faults.entries import builder, fault_of, ingredients

root = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "tmpfs", root], check=True)
for name in ("whole", "rotten"):
    made = Store(root).get("artifact", ingredients(name), builder(name, "1"))
(made.path / "weights").write_text("rotten")
subprocess.run(["mount", "-o", "remount,ro", root], check=True)
said = {}
served = Store(root).get("artifact", ingredients("whole"), None)
for name in ("rotten", "missing"):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            Store(root).get("artifact", ingredients(name), builder(name, "2"))
        except StoreError as error:
            said[name] = str(error)
    said[name + " warned"] = [str(each.category.__name__) for each in caught]
try:
    collect(Store(root), 0, now_s=1e12)
except StoreError as error:
    said["gc"] = str(error)
print(json.dumps({"fault": fault_of(served, "whole"), "said": said}))
"""


@pytest.fixture
def private_mounts() -> list[str]:
    """A command that runs another where mounts are its own, and end with it."""
    command = ["unshare", "--map-root-user", "--mount"]
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not installed")
    probe = "mount -t tmpfs tmpfs /mnt"
    tried = subprocess.run(
        [*command, "sh", "-c", probe], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        pytest.skip(f"mounting a tmpfs is refused: {tried.stderr.strip()}")
    return command


def test_a_full_disk_refuses_what_is_new_and_serves_what_is_there(
    tmp_path: Path, private_mounts: list[str]
) -> None:
    """A tmpfs with 0 to 60 kB left fills up at each step of a build; then eight ask at once."""
    got = python(SMALL_DISK, str(tmp_path), before=private_mounts)
    new, kept = got["said"][::2], got["said"][1::2]
    assert set(kept) == {"served"}
    refused = [text for text in new if text != "served"]
    assert 3 < len(refused) < len(new), "both are met: a build that fits, and one that does not"
    for text in [*refused, *got["together"]]:
        assert "the disk is full" in text
        assert "free space there, or name another folder with --quant-cache DIR" in text
    assert (got["after"], got["left"]) == ("served", [])


def test_a_read_only_cache_serves_what_is_whole_and_explains_the_rest(
    tmp_path: Path, private_mounts: list[str]
) -> None:
    got = python(READ_ONLY, str(tmp_path), before=private_mounts)
    assert got["fault"] is None
    said = got["said"]
    for what in ("rotten", "missing", "gc"):
        assert "the file system is read-only" in said[what]
        assert "--quant-cache DIR" in said[what]
    assert "CorruptedArtifactWarning" in said["rotten warned"]
    assert said["missing warned"] == []


NO_PERMISSION = """
import json, sys
from pathlib import Path
from quantbench.store.artifacts import Store
from quantbench.errors import StoreError
from tests.faults.entries import builder, fault_of, ingredients

root = Path(sys.argv[1])
served = Store(root).get("artifact", ingredients("there"), None)
try:
    Store(root).get("artifact", ingredients("missing"), builder("missing", "2"))
    said = "built"
except StoreError as error:
    said = str(error)
print(json.dumps({"fault": fault_of(served, "there"), "said": said}))
"""


def test_a_cache_of_somebody_else_serves_what_is_there(tmp_path: Path) -> None:
    before: list[str] = []
    if os.geteuid() == 0:  # root may write anywhere, unless that capability is put away
        if shutil.which("setpriv") is None:
            pytest.skip("root may write anywhere, and setpriv is not installed")
        before = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"]
    get(tmp_path, "1", "there")
    folders = [path for path in (tmp_path, *tmp_path.rglob("*")) if path.is_dir()]
    try:
        for path in folders:
            path.chmod(0o500)
        for path in (tmp_path / "locks").iterdir():
            path.chmod(0o400)
        got = python(NO_PERMISSION, str(tmp_path), before=before)
    finally:
        for path in folders:
            path.chmod(0o700)
    assert got["fault"] is None
    assert "no permission to write" in got["said"]
    assert "--quant-cache DIR" in got["said"]


def test_a_file_larger_than_the_process_may_write_is_explained(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        with pytest.raises(StoreError, match=r"(?s)ulimit -f.*next: .*mend that"):
            get(tmp_path, "1")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((tmp_path / "building").iterdir()) == []


def test_a_tool_that_tells_of_a_full_disk_in_its_own_words_is_understood(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        raise RuntimeError("I/O error: No space left on device (os error 28)")

    with pytest.raises(StoreError, match=r"(?s)the disk is full.*free space there"):
        Store(tmp_path).get("artifact", ingredients("a"), write)


@pytest.mark.parametrize("content", ["", "4194305\nhost\n", "\0garbage\xff" * 300])
def test_a_lock_file_of_a_dead_process_stops_nobody(tmp_path: Path, content: str) -> None:
    key = get(tmp_path / "elsewhere", "1").key
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / f"{key}.lock").write_text(content)
    os.utime(tmp_path / "locks" / f"{key}.lock", (0, 0))
    started = time.monotonic()
    assert get(tmp_path, "2").details["build"] == "2"
    assert time.monotonic() - started < 10


def test_leftovers_go_even_where_the_locks_are_gone(tmp_path: Path) -> None:
    key = get(tmp_path, "1").key
    (tmp_path / "building" / f"{key}.dead").mkdir()
    shutil.rmtree(tmp_path / "locks")
    Store(tmp_path).sweep()
    assert list((tmp_path / "building").iterdir()) == []


# Named: workers must agree on the names of tests, and each has its own clock.
@pytest.mark.parametrize(
    "used_s",
    [0, 1, 2**31, time.time() + YEARS_S],
    ids=["the epoch", "a second later", "2038", "the future"],
)
@pytest.mark.parametrize(
    "now_s", [0.0, time.time(), time.time() + 2 * YEARS_S], ids=["long ago", "now", "far ahead"]
)
def test_no_clock_collects_what_a_process_uses(tmp_path: Path, used_s: float, now_s: float) -> None:
    store = Store(tmp_path)
    held = store.get("artifact", ingredients("held"), builder("held", "1"))
    os.utime(held.path.parent / "manifest.json", (used_s, used_s))
    assert collect(Store(tmp_path), 0, now_s=now_s) == []
    assert fault_of(held, "held") is None


def test_an_entry_is_free_again_once_its_process_has_ended(tmp_path: Path) -> None:
    held = get(tmp_path, "1")
    os.utime(held.path.parent / "manifest.json", (0, 0))
    assert len(collect(Store(tmp_path), 0)) == 1


def test_an_entry_used_in_the_future_grows_old_from_now(tmp_path: Path) -> None:
    """Else a clock that was ahead for a day would keep it for ever."""
    made = get(tmp_path, "1")
    ahead = time.time() + YEARS_S
    os.utime(made.path.parent / "manifest.json", (ahead, ahead))
    assert collect(Store(tmp_path), 0) == []
    assert (made.path.parent / "manifest.json").stat().st_mtime <= time.time()
    assert len(collect(Store(tmp_path), 0, now_s=time.time() + 7200)) == 1


def test_a_process_holds_the_entries_it_used_last(tmp_path: Path) -> None:
    """Each costs it a file descriptor, of which it has a thousand."""
    store = Store(tmp_path)
    keys = [store.get("artifact", {"number": n}, lambda _: None).key for n in range(80)]
    collected = collect(Store(tmp_path), -1, now_s=time.time() + YEARS_S)
    assert {entry.key for entry in collected} == set(keys[: 80 - 64])


def test_what_was_cleared_under_a_process_is_built_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = store.get("artifact", ingredients("a"), builder("a", "1"))
    store.remove("artifact", first.key)
    again = store.get("artifact", ingredients("a"), builder("a", "2"))
    assert fault_of(again, "a") is None
    other = Store(tmp_path)
    other.remove("artifact", first.key)
    other.get("artifact", ingredients("a"), builder("a", "3"))
    served = store.get("artifact", ingredients("a"), builder("a", "4"))
    assert served.details["build"] == "3", "not what it remembers, but what lies there"
    assert served.sha256 != again.sha256
