"""Kill a random node or worker at a random moment of a study on three nodes, again and again.

    python -m benchmarks.kills [ROUNDS] [SEED]

Each round starts with the artifacts of two schemes of three, predicts 12 shards and builds one
artifact. Half of the rounds lose a node (SIGKILL of its raylet and of all its workers) and get a
new one, the others lose a worker in the middle of a step. A round is right if the run ends within
its time, green, with the rows of a local run to the byte.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import click

from benchmarks.nodes import Nodes, prepared, rows, started

_MOST_S = 600  # what takes longer hangs
_SHARDS = 12
_DYNAMIC = "int8_dynamic"


def without(cache: Path, scheme: str) -> None:
    """Take the artifact of a scheme away: a node must build it."""
    for manifest in (cache / "artifact").glob("*/manifest.json"):
        if json.loads(manifest.read_text())["ingredients"]["scheme"]["name"] == scheme:
            shutil.rmtree(manifest.parent)


def workers() -> dict[int, str]:
    """Processes that are at a step now, and its name: Ray gives them that."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            told = path.read_text().replace("\0", " ").strip()
            if told.startswith("ray::") and ": " in told and "hello" not in told:
                found[int(path.parent.name)] = told.removeprefix("ray::")
    return found


def round_of(rng: random.Random, folder: Path, clean: Path) -> tuple[str, float, Path, int]:
    """What was killed, how long the run took, its store and how it ended (-1: it hung)."""
    cache = Path(tempfile.mkdtemp(dir=folder)) / "driver"
    shutil.copytree(clean, cache)
    nodes = Nodes(Path(tempfile.mkdtemp(dir=folder)), 3)
    run, began = started(cache, nodes.address), time.perf_counter()
    landed, pause_s, node = rng.randrange(_SHARDS), rng.uniform(0, 2), rng.random() < 0.5
    try:
        while run.poll() is None and not (workers() and len(rows(cache)) >= landed):
            time.sleep(0.1)
        time.sleep(pause_s)
        when = f"after {len(rows(cache))} shards"
        if run.poll() is not None:
            killed = "nothing, it had ended"
        elif node:
            nodes.kill(rng.choice(nodes.alive[1:]))  # not the head: the cluster ends with it
            nodes.add()
            killed = "a node"
        else:
            killed = _kill_worker(rng, run)
        try:
            said, _ = run.communicate(timeout=_MOST_S)
        except subprocess.TimeoutExpired:
            run.kill()
            said, _ = run.communicate()
            return f"HANGS after {killed}", time.perf_counter() - began, cache, -1
        if run.returncode:
            click.echo(said)
        return f"{killed}, {when}", time.perf_counter() - began, cache, run.returncode
    finally:
        nodes.close()


def _kill_worker(rng: random.Random, run: subprocess.Popen[str]) -> str:
    """One that is at a step; what it was at."""
    while run.poll() is None:
        if at := workers():
            victim = rng.choice(sorted(at))
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
                return f"the worker at {at[victim]}"
        time.sleep(0.05)
    return "nothing, it had ended"


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    rng = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    wrong = hung = unfinished = 0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        clean, expected = prepared(folder)
        without(clean, _DYNAMIC)
        for number in range(rounds):
            what, seconds, cache, code = round_of(rng, folder, clean)
            found = rows(cache)
            hung += code < 0
            unfinished += code != 0
            wrong += sum(found[key] != expected.get(key) for key in found)
            state = "green" if code == 0 and found == expected else f"WRONG (exit {code})"
            click.echo(f"{number + 1:>3}  {seconds:6.1f} s  {state:<8} killed: {what}")
            shutil.rmtree(cache.parent)
    click.echo(f"{rounds} rounds: {wrong} wrong rows, {hung} hangs, {unfinished} runs not green")
    sys.exit(bool(wrong or hung or unfinished))


if __name__ == "__main__":
    main()
