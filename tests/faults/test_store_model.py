"""The store against a model of it: two processes, what they ask for, and all that may happen."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from quantbench.core.digests import digest_of
from quantbench.store.artifacts import Store
from quantbench.store.upkeep import clear, collect
from tests.faults.conftest import KILLS
from tests.faults.dying import Killed, dying
from tests.faults.entries import FILES, builder, fault_of, ingredients

if TYPE_CHECKING:
    from quantbench.store.artifacts import Artifact

KEYS = {name: digest_of({"kind": "artifact", **ingredients(name)}) for name in "ab"}
YEARS_S = 10 * 365 * 86_400

names = st.sampled_from(sorted(KEYS))
processes = st.sampled_from([0, 1])
files = st.sampled_from(["manifest.json", *(f"files/{name}" for name in FILES)])
places = st.floats(0, 1, exclude_max=True)
clocks = st.sampled_from([0.0, time.time(), time.time() + YEARS_S])


class StoreMachine(RuleBasedStateMachine):
    """The model: the bytes of each entry as they were built, and what each process was served."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.root = Path(self.folder.name)
        self.stores = [Store(self.root), Store(self.root)]
        self.builds = 0
        self.built: dict[str, dict[str, bytes]] = {}
        self.served: list[dict[str, Artifact]] = [{}, {}]

    def teardown(self) -> None:
        self.folder.cleanup()

    @rule(name=names, process=processes)
    def get(self, name: str, process: int) -> None:
        build = self.next_build()
        right = self.is_right(name, process)
        there = self.build_of(name)
        served = self.stores[process].get("artifact", ingredients(name), builder(name, build))
        assert served.cache == ("hit" if right else "built")
        assert served.details["build"] == (there if right else build)
        if not right:
            self.note(name)
        if self.is_whole(name):
            assert fault_of(served, name) is None
        self.served[process][name] = served

    @rule(name=names)
    def find(self, name: str) -> None:
        found = Store(self.root).find("artifact", KEYS[name])
        assert (found is not None) == self.is_whole(name)
        assert found is None or fault_of(found, name) is None

    @rule(name=names, file=files, at=places, bit=st.integers(0, 7))
    def flip(self, name: str, file: str, at: float, bit: int) -> None:
        if content := bytearray(self.content(name, file)):
            content[int(at * len(content))] ^= 1 << bit
            (self.place(name) / file).write_bytes(content)
        self.find(name)

    @rule(name=names, file=files, at=places)
    def truncate(self, name: str, file: str, at: float) -> None:
        if content := self.content(name, file):
            (self.place(name) / file).write_bytes(content[: int(at * len(content))])
        self.find(name)

    @rule(name=names, file=files)
    def delete(self, name: str, file: str) -> None:
        (self.place(name) / file).unlink(missing_ok=True)
        self.find(name)

    @rule(name=names, process=processes, last=st.integers(0, 60))
    def kill(self, name: str, process: int, last: int) -> None:
        """The process dies at a step of asking, and another takes its place."""
        build, there = self.next_build(), self.build_of(name)
        right = self.is_right(name, process)
        with dying(last) as steps:
            try:
                write = builder(name, build, steps.step)
                self.stores[process].get("artifact", ingredients(name), write)
            except Killed:
                pass
        self.reopen(process)
        if right:
            assert self.build_of(name) == there
        elif (found := Store(self.root).find("artifact", KEYS[name])) is not None:
            assert fault_of(found, name) is None
            assert found.details["build"] == build
            self.note(name)

    @rule(process=processes)
    def reopen(self, process: int) -> None:
        self.served[process].clear()
        self.stores[process] = Store(self.root)

    @rule(name=names)
    def leave_a_dead_build(self, name: str) -> None:
        """With a manifest that is nearly right, and garbage in its lock."""
        dead = self.root / "building" / f"{KEYS[name]}.dead{self.next_build()}"
        (dead / "files").mkdir(parents=True)
        (dead / "files" / "weights").write_text("of the dead")
        (dead / "manifest.json").write_text('{"files": {}, "size_bytes": 1, "ingredients": {}}')
        (self.root / "locks").mkdir(exist_ok=True)
        (self.root / "locks" / f"{KEYS[name]}.lock").write_text("4194305 \0 gone")

    @rule(name=names, used_s=clocks)
    def set_clock(self, name: str, used_s: float) -> None:
        if self.content(name, "manifest.json"):
            os.utime(self.place(name) / "manifest.json", (used_s, used_s))

    @rule(most=st.sampled_from([0, 10_000]), now_s=clocks)
    def gc(self, most: int, now_s: float) -> None:
        """What a process was served and still lies there stays; the rest may go."""
        held = [
            name
            for served in self.served
            for name in served
            if served[name].details["build"] == self.build_of(name)
        ]
        collect(Store(self.root), most, now_s=now_s)
        assert all(self.content(name, "manifest.json") for name in held)
        assert not self.leftovers()

    @rule(name=names)
    def remove(self, name: str) -> None:
        there = (self.place(name) / "manifest.json").exists()
        assert Store(self.root).remove("artifact", KEYS[name]) == there

    @rule()
    def clear(self) -> None:
        clear(Store(self.root))
        assert not any((self.place(name) / "manifest.json").exists() for name in KEYS)
        assert not self.leftovers()

    @rule()
    def sweep(self) -> None:
        Store(self.root).sweep()
        assert not self.leftovers()

    def place(self, name: str) -> Path:
        return self.root / "artifact" / KEYS[name]

    def content(self, name: str, file: str) -> bytes:
        path = self.place(name) / file
        return path.read_bytes() if path.exists() else b""

    def note(self, name: str) -> None:
        """Remember the bytes that a build wrote."""
        written = ["manifest.json", *(f"files/{file}" for file in FILES)]
        self.built[name] = {file: self.content(name, file) for file in written}

    def is_whole(self, name: str, *, manifest_alone: bool = False) -> bool:
        listed = list(self.built.get(name, ["manifest.json"]))[: 1 if manifest_alone else None]
        return all(self.content(name, file) for file in listed) and all(
            self.content(name, file) == self.built[name][file] for file in listed
        )

    def build_of(self, name: str) -> str | None:
        """Which build lies there, as far as its manifest says so."""
        if not self.is_whole(name, manifest_alone=True):
            return None
        return self.built[name]["files/weights"].split(b'"build": "')[1].split(b'"')[0].decode()

    def is_right(self, name: str, process: int) -> bool:
        """Whether this process is served what lies there: it reads files once."""
        there, known = self.build_of(name), self.served[process].get(name)
        verified = known is not None and known.details["build"] == there
        return there is not None and (verified or self.is_whole(name))

    def next_build(self) -> str:
        self.builds += 1
        return str(self.builds)

    def leftovers(self) -> list[Path]:
        return list((self.root / "building").glob("*"))


TestStoreAgainstItsModel = pytest.mark.filterwarnings(
    "ignore::quantbench.errors.CorruptedArtifactWarning"
)(StoreMachine.TestCase)
TestStoreAgainstItsModel.settings = settings(
    max_examples=max(30, KILLS),
    stateful_step_count=30,
    deadline=None,
    derandomize=KILLS <= 12,
)
