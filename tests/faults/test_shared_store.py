"""A campaign: machines that share a store are killed and lied to, and agree in the end."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from typing import TYPE_CHECKING

import pytest

from quantbench.store.remote import Remote
from quantbench.store.sharing import damaged_shared, shared
from tests.store.s3 import Fault

if TYPE_CHECKING:
    from pathlib import Path

    from tests.store.s3 import Team

ROUNDS = int(os.environ.get("QUANTBENCH_KILLS", "8"))
KEYS = 20
MACHINES = ("one", "two", "three")
WORKER = """
import os, random, sys, warnings
from pathlib import Path
from quantbench.store.artifacts import Store
from quantbench.store.objects import Patience
from quantbench.store.remote import Remote

warnings.simplefilter("ignore")
folder, url, keys = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = Store(Path(folder), Remote(url, Patience(answer_s=5, retries=1)))
def build(folder):
    (folder / "weights").write_bytes(os.urandom(1000))  # never the same twice
    (folder / "config").write_text("{}")
for key in random.sample(range(keys), keys):
    made = store.get("artifact", {"key": key}, build)
    content = (made.path / "weights").read_bytes()
    print(key, made.cache, made.sha256, flush=True)
"""


def start(root: Path, team: Team, name: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "ignore", "-c", WORKER, str(root / name), team.url, str(KEYS)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def some_fault(chance: random.Random) -> Fault:
    return chance.choice(
        [
            Fault(times=1, status=503, code="SlowDown"),
            Fault(times=1, status=403, code="AccessDenied"),
            Fault(lambda method, _: method == "GET", times=1, flip=True),
            Fault(lambda method, _: method == "GET", times=1, cut=chance.randrange(400)),
            Fault(lambda method, _: method == "PUT", times=1, cut=0),
            Fault(times=3, status=500),
        ]
    )


@pytest.mark.slow
def test_machines_that_are_killed_and_lied_to_agree_in_the_end(tmp_path: Path, team: Team) -> None:
    chance, heard = random.Random(11), 0
    for _ in range(ROUNDS):
        running = [start(tmp_path, team, name) for name in MACHINES]
        ends = time.monotonic() + chance.uniform(0.5, 2.5)
        while time.monotonic() < ends:
            team.proxy.faults[:] = [some_fault(chance)]
            time.sleep(0.05)
        for each in running:
            each.kill()
            heard += each.communicate()[0].count("built")
    assert heard  # some came as far as that
    team.proxy.faults.clear()
    for _ in range(2):  # the first offers what was built while the team's store failed
        said = [start(tmp_path, team, name).communicate(timeout=120)[0] for name in MACHINES]
    digests = defaultdict(set)
    for line in "".join(said).splitlines():
        key, cache, sha256 = line.split()
        assert cache == "hit"
        digests[key].add(sha256)
    assert {len(found) for found in digests.values()} == {1}
    assert len(digests) == KEYS
    remote = Remote(team.url)
    assert list(damaged_shared(remote)) == []
    assert len([each for each in shared(remote) if not each.begun]) == KEYS
