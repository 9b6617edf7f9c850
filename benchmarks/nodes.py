"""The embedded detector's evidence on 1, 2 and 3 Ray nodes of this machine, against none.

    python -m benchmarks.nodes [ROUNDS]

Each node has one core and a store of its own. Artifacts are built before, so that nothing but
prediction is shared out. Rows must be those of a local run, to the byte. The overhead of a shard is
what a node needs beside predicting it: to hear of it, to answer, and for the driver to land it.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).parents[1]
SCHEMES = "float32,int8_dynamic,int8_static"
STUDY = str(ROOT / "benchmarks/test_detection.py")
_KEPT = ("source", "float_model", "artifact")


class Nodes:
    """A cluster of one-core nodes, each with a store of its own."""

    def __init__(self, folder: Path, number: int) -> None:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        from ray.cluster_utils import Cluster

        self.folder, self._cluster = folder, Cluster()
        self.alive: list[Any] = [self.add() for _ in range(number)]

    def add(self) -> Any:
        """One more."""
        store = tempfile.mkdtemp(dir=self.folder)
        own = {"QUANTBENCH_CACHE": store, "PYTHONPATH": str(ROOT)}
        for again in (True, True, False):
            try:
                return self._cluster.add_node(
                    num_cpus=1, object_store_memory=200 * 2**20, include_dashboard=False,
                    env_vars=own,
                )  # fmt: skip
            except Exception:  # Ray raises no other when a busy machine starts it too slowly
                if not again:
                    raise
        return None

    def kill(self, node: Any) -> None:
        """Without a word, as a power cut does."""
        self.alive.remove(node)
        self._cluster.remove_node(node, allow_graceful=False)

    @property
    def address(self) -> str:
        """Of its head."""
        return str(self._cluster.address)

    def close(self) -> None:
        """End all of them."""
        self._cluster.shutdown()


def started(cache: Path, address: str | None, *more: str) -> subprocess.Popen[str]:
    """The study's verdicts, in a process of their own; on a cluster where an address is given."""
    outer = {name: text for name, text in os.environ.items() if "QUANTBENCH_" not in name}
    environment = {**outer, "PYTHONPATH": str(ROOT), "RAY_ADDRESS": address or ""}
    command = [
        *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-k", "average", STUDY),
        *("--quant-cache", str(cache), "--quant-schemes", SCHEMES),
        *("--quant-executor", "ray" if address else "local", *more),
    ]
    return subprocess.Popen(
        command, env=environment, cwd=ROOT, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip


def rows(cache: Path) -> dict[str, bytes]:
    """Of all evidence, by key."""
    found = (cache / "evidence").glob("*/files/rows.jsonl")
    return {path.parts[-3]: path.read_bytes() for path in found}


def prepared(folder: Path) -> tuple[Path, dict[str, bytes]]:
    """A store with everything but evidence, and the rows that a local run makes from it."""
    cache, local = folder / "prepared", folder / "local"
    run = started(local, None)
    said, _ = run.communicate()
    if run.returncode:
        raise SystemExit(said)
    cache.mkdir()
    for kind in _KEPT:
        shutil.copytree(local / kind, cache / kind)
    return cache, rows(local)


def predict_s(cache: Path) -> list[float]:
    """Seconds that each shard took where it was predicted."""
    manifests = (cache / "evidence").glob("*/manifest.json")
    return [json.loads(path.read_text())["details"]["predict_s"] for path in manifests]


def _timed(folder: Path, clean: Path, address: str | None) -> tuple[float, Path]:
    cache = Path(tempfile.mkdtemp(dir=folder)) / "driver"
    shutil.copytree(clean, cache)
    run, began = started(cache, address), time.perf_counter()
    said, _ = run.communicate()
    seconds = time.perf_counter() - began
    if run.returncode:
        raise SystemExit(said)
    return seconds, cache


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        clean, expected = prepared(folder)
        click.echo(f"{len(expected)} shards of {SCHEMES}; {os.cpu_count()} cores")
        click.echo(f"{'nodes':>8} {'wall s':>8} {'predicting s':>13} {'rows':>12}")
        for number in (0, 1, 2, 3):
            nodes = Nodes(Path(tempfile.mkdtemp(dir=folder)), number) if number else None
            walls, spent, same = [], [], True
            for _ in range(rounds):
                wall, cache = _timed(folder, clean, nodes.address if nodes else None)
                walls.append(wall)
                spent.append(sum(predict_s(cache)))
                same = same and rows(cache) == expected
            if nodes:
                nodes.close()
            told = "byte-equal" if same else "DIFFERENT"
            what = str(number) if number else "local"
            seconds, predicting = statistics.median(walls), statistics.median(spent)
            click.echo(f"{what:>8} {seconds:8.1f} {predicting:13.1f} {told:>12}")


if __name__ == "__main__":
    main()
