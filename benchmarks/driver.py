"""What it costs the driver to resolve and submit 10,000 shards.

    python -m benchmarks.driver

510 cases of 20 shards (170 data sets of 5,000 vectors under 3 schemes of a linear model in numpy),
all artifacts built before. Resolving asks the driver's own session for each shard's key; submitting
is Ray's, to one node of this machine, which is given all of them at once.
"""

from __future__ import annotations

import hashlib
import resource
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "tests/thirdparty/quantbench_linear"
DATASETS, SAMPLES = 170, 5000

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quantbench.protocols import Step
    from quantbench.run.executors.pool import Need, Node, Order
    from quantbench.study import Case


def installed(site: Path) -> None:
    """The linear backend and task, found by their entry points."""
    described = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    info = site / "quantbench_linear-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: quantbench-linear\nVersion: 1.0\n")
    points = [
        "\n".join([f"[{group}]", *(f"{name} = {code}" for name, code in names.items())])
        for group, names in described["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(points))
    sys.path[:0] = [str(site), str(PACKAGE)]


def cases() -> list[Case]:
    """All of them; each data set has vectors of its own."""
    import numpy as np

    import quantbench
    from quantbench_linear.data import GaussianClusters, Vector
    from quantbench_linear.model import MODEL

    @dataclass(frozen=True)
    class Known(Vector):
        """With digests that are read, as those of files are, and not computed by each caller."""

        digest: str = ""
        fingerprint: str = ""

    @dataclass(frozen=True)
    class Drawn(GaussianClusters):
        seed: int = 0

        def samples(self, files: Any, split: str, n: int | None) -> Sequence[Vector]:
            del files
            size = self.default_n if n is None else n
            rng = np.random.default_rng([self.seed, len(split)])
            values, labels = rng.standard_normal((size, 16)).tolist(), rng.integers(10, size=size)
            found = []
            for i, (vector, label) in enumerate(zip(values, labels.tolist(), strict=True)):
                sha256 = hashlib.sha256(f"{self.seed} {split} {i}".encode()).hexdigest()
                found.append(Known(f"{split}-{i}", tuple(vector), label, None, sha256, sha256))
            return found

    drawn = tuple(Drawn(f"vectors{i}", default_n=SAMPLES, seed=i) for i in range(DATASETS))
    return quantbench.cases(replace(MODEL, datasets=drawn))


def peak_mib() -> float:
    """Of this process, so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    from benchmarks.nodes import Nodes
    from quantbench.core.settings import Settings
    from quantbench.protocols import Step
    from quantbench.run.executors.choosing import begun
    from quantbench.run.executors.ray import RayPool
    from quantbench.run.executors.scheduler import Scheduler
    from quantbench.run.session import Session

    class Wide(RayPool):
        """Every node takes whatever there is."""

        submitting_s = 0.0
        given = 0

        def nodes(self) -> Sequence[Node]:
            return [replace(node, cpus=10**6, memory_bytes=10**15) for node in super().nodes()]

        def start(self, order: Order, node: Node, need: Need) -> None:
            began = time.perf_counter()
            super().start(order, node, need)
            self.submitting_s += time.perf_counter() - began
            self.given += 1

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "site").mkdir()
        installed(folder / "site")
        every, settings = cases(), Settings(cache=folder / "driver")
        session = Session(settings)
        for case in every:
            session.artifact(case)
        del session
        nodes = Nodes(folder, 1)
        import os

        os.environ["RAY_ADDRESS"] = nodes.address
        before = peak_mib()
        parts = begun(settings, every, (), Wide)
        pool: Any = parts.pool
        while not pool.nodes():
            time.sleep(0.1)
        run = Scheduler(pool, parts.resolver, parts.needs)
        wanted: list[Step] = [Step("sum up", case) for case in every]
        began = time.perf_counter()
        run.expect(wanted)
        expected_s = time.perf_counter() - began
        run.turn(0)
        whole_s = time.perf_counter() - began
        click.echo(f"shards given out        {pool.given}")
        click.echo(f"whole                   {whole_s:6.1f} s")
        click.echo(f"  looking at the store  {expected_s:6.1f} s")
        click.echo(f"  resolving             {whole_s - expected_s - pool.submitting_s:6.1f} s")
        click.echo(f"  submitting to Ray     {pool.submitting_s:6.1f} s")
        click.echo(f"peak memory             {peak_mib():6.0f} MiB, before {before:.0f}")
        pool.leave()
        nodes.close()


if __name__ == "__main__":
    main()
