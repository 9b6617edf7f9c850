"""Eight processes want the same entries; some are killed, the clocks jump, the disk is littered.

    python -m tests.faults.campaign ROUNDS SEED FOLDER

A process of its own, because it forks. Prints its figures as JSON: `wrong` are entries that were
served and were not whole, of one build, and what was asked for; `stuck` are rounds that did not
end; `failures` is what processes that lived said when they ended otherwise than well;
`in_a_build` are the kills that met one.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantbench.errors import CorruptedArtifactWarning
from quantbench.store.artifacts import Store
from quantbench.store.upkeep import collect, entries
from tests.faults.entries import FILES, builder, fault_of, ingredients

if TYPE_CHECKING:
    from collections.abc import Callable

WORKERS = 8
WANTED = [("artifact", f"model-{i}") for i in range(3)] + [
    ("evidence", f"shard-{i}") for i in range(3)
]
ROUND_S = 90  # a round of a second that takes so long is stuck
YEARS_S = 10 * 365 * 86_400


def main(rounds: int, seed: int, folder: Path) -> dict[str, Any]:
    """Run them all."""
    warnings.simplefilter("ignore", CorruptedArtifactWarning)
    chance = random.Random(seed)
    figures = {"rounds": rounds, "kills": 0, "in_a_build": 0, "built": 0, "served": 0, "stuck": 0}
    log, root = folder / "log", folder / "cache"
    log.touch()
    started = time.monotonic()
    for number in range(rounds):
        jobs = [_worker(root, log, chance.random()) for _ in range(WORKERS)]
        jobs.append(_upkeep(root, log, chance.random()))
        alive = {_forked(job, log) for job in jobs}
        for victim in chance.sample(sorted(alive), chance.randint(1, 4)):
            time.sleep(chance.random() * 0.03)
            os.kill(victim, signal.SIGKILL)  # a zombie at worst: it is ours until waited for
            figures["kills"] += 1
        figures["stuck"] += _wait(alive)
        _look(root, log)
        _harm(root, chance, number)
    lines = log.read_text().splitlines()
    figures["served"] = lines.count("served")
    figures["built"] = sum(line.startswith("built") for line in lines)
    figures["in_a_build"] = sum(line.startswith("builds") for line in lines) - figures["built"]
    return {
        **figures,
        "wrong": [line for line in lines if line.startswith("wrong")],
        "failures": [line for line in lines if line.startswith("failed")],
        "seconds": round(time.monotonic() - started, 1),
    }


def _worker(root: Path, log: Path, seed: float) -> Callable[[], None]:
    def work() -> None:
        chance, store = random.Random(seed), Store(root)
        wanted, taken = chance.sample(WANTED, len(WANTED)), []
        for kind, name in wanted:
            build = f"{os.getpid()}-{chance.random()}"
            write = _told(log, builder(name, build, lambda: time.sleep(chance.random() * 5e-4)))
            taken.append((store.get(kind, ingredients(name), write), name))
            _say(log, fault_of(*taken[-1]))
        for each in taken:  # nobody took it away meanwhile
            _say(log, fault_of(*each))

    return work


def _told(log: Path, write: Callable[[Path], dict[str, Any]]) -> Callable[[Path], dict[str, Any]]:
    """The log then shows who died in it."""

    def told(folder: Path) -> dict[str, Any]:
        _write(log, "builds")
        details = write(folder)
        _write(log, "built")
        return details

    return told


def _upkeep(root: Path, log: Path, seed: float) -> Callable[[], None]:
    """Collects, by a clock that is right, or years behind or ahead."""

    def work() -> None:
        chance, store = random.Random(seed), Store(root)
        for _ in range(10):
            now_s = time.time() + chance.choice([0, YEARS_S, -YEARS_S])
            collect(store, chance.choice([0, 20_000]), now_s=now_s)
            for entry in entries(store):
                used_s = chance.choice([0, time.time(), time.time() + YEARS_S])
                try:
                    os.utime(root / entry.kind / entry.key / "manifest.json", (used_s, used_s))
                except FileNotFoundError:
                    continue
            time.sleep(chance.random() * 0.01)

    return work


def _forked(job: Callable[[], None], log: Path) -> int:
    child = os.fork()
    if child:
        return child
    try:
        job()
    except BaseException:  # noqa: BLE001 - the figures tell
        _write(log, "failed " + traceback.format_exc().replace("\n", " | "))
    finally:
        os._exit(0)


def _wait(alive: set[int]) -> bool:
    """Until all have ended; whether that took too long."""
    limit = time.monotonic() + ROUND_S
    while alive and time.monotonic() < limit:
        alive -= {child for child in alive if os.waitpid(child, os.WNOHANG)[0]}
        time.sleep(0.002)
    for child in alive:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return bool(alive)


def _look(root: Path, log: Path) -> None:
    """What the dead left goes, and what is there is right."""
    store = Store(root)
    store.sweep()
    if leftovers := list((root / "building").glob("*")):
        _write(log, f"failed to sweep {leftovers}")
    for kind, name in WANTED:
        _say(log, fault_of(store.get(kind, ingredients(name), builder(name, "after")), name))


def _harm(root: Path, chance: random.Random, number: int) -> None:
    """Between rounds: half of the entries go, one rots, locks and folders of the dead stay."""
    store = Store(root)
    every = entries(store)
    for entry in chance.sample(every, len(every) // 2):
        store.remove(entry.kind, entry.key)
    rotten = chance.choice(entries(store))
    place = root / rotten.kind / rotten.key
    victim = chance.choice([place / "manifest.json", *(place / "files" / name for name in FILES)])
    content = bytearray(victim.read_bytes())
    match chance.choice(["flip", "cut", "delete"]):
        case "flip":
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
            victim.write_bytes(content)
        case "cut":
            victim.write_bytes(content[: chance.randrange(len(content))])
        case _:
            victim.unlink()
    (root / "locks" / f"{rotten.key}.lock").write_text(f"{2**22 + number} gone\0\n")
    dead = root / "building" / f"{rotten.key}.dead{number}" / "files"
    dead.mkdir(parents=True)
    (dead / "weights").write_text("of the dead")


def _say(log: Path, fault: str | None) -> None:
    _write(log, f"wrong {fault}" if fault else "served")


def _write(log: Path, line: str) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.write(descriptor, (line + "\n").encode())
    os.close(descriptor)


if __name__ == "__main__":
    json.dump(main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])), sys.stdout)
