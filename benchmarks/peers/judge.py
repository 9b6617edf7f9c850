"""A paired verdict on two COCO result files: `quantbench judge` against hotcoco, one run.

    python benchmarks/peers/judge.py

Two result files of the size of val2017 (5,000 images, 200,000 detections each) and their
annotations, as `bootstrap.py` makes them: the second says other scores and has lost detections.
Each tool starts from the three files and ends with the paired difference of AP and its interval.

- quantbench's time: `judge.coco(...)`, by function, everything read from disk: the verdict on AP.
- hotcoco's time: loading the files, `evaluate()` of both, and `compare(n_bootstrap=1000)`.

The command line, which shows all numbers, agreement and what the lost AP is made of, is timed too,
as a process of its own with its peak memory; it must end in 15 s and 2 GiB. Both tools' AP must be
equal. The ratio is hotcoco's time over the slower of quantbench's two runs. hotcoco's interval is
not one of a difference by category: see `verdicts.py` for what intervals are worth.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import hotcoco
from bootstrap import REPLICATES, SEED, changed  # type: ignore[import-not-found]  # beside this one
from coco_eval import as_coco, evidence  # type: ignore[import-not-found]

MOST_S, MEMORY_BYTES = 15.0, 2 * 1024**3


def written(folder: Path) -> list[Path]:
    """Annotations, and two result files."""
    described, results = as_coco(evidence())
    _, other = as_coco(changed(evidence()))
    paths = []
    for name, content in (("instances", described), ("float", results), ("int8", other)):
        paths.append(folder / f"{name}.json")
        paths[-1].write_text(json.dumps(content))
    return paths


def ours(paths: list[Path]) -> tuple[float, Any]:
    """Seconds, and the verdict."""
    from quantbench import judge

    started = time.perf_counter()
    (verdict,) = judge.coco(*paths, metric="AP", margin=0.01)
    return time.perf_counter() - started, verdict


def theirs(paths: list[Path]) -> tuple[float, dict[str, Any]]:
    """Seconds, and what `compare` says."""
    started = time.perf_counter()
    truth = hotcoco.COCO(str(paths[0]))
    sides = []
    for path in paths[1:]:
        evaluation = hotcoco.COCOeval(truth, truth.load_res(str(path)), "bbox")
        evaluation.evaluate()
        sides.append(evaluation)
    found: dict[str, Any] = hotcoco.compare(sides[0], sides[1], n_bootstrap=REPLICATES, seed=SEED)
    return time.perf_counter() - started, found


def command(paths: list[Path]) -> tuple[float, int]:
    """Seconds and peak bytes of the whole command."""
    started = time.perf_counter()
    line = [sys.executable, "-m", "quantbench", "judge", "coco", *map(str, paths)]
    subprocess.run([*line, "--margin", "0.01"], check=False, stdout=subprocess.DEVNULL)
    took = time.perf_counter() - started
    return took, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


def main() -> None:
    """Print both tools' times and numbers, and the ratio."""
    with tempfile.TemporaryDirectory() as folder:
        paths = written(Path(folder))
        took, peak = command(paths)
        print(f"command    {took:7.2f} s, peak {peak / 2**20:.0f} MiB")  # noqa: T201 - a script
        if took > MOST_S or peak > MEMORY_BYTES:
            raise SystemExit("more than 15 s or 2 GiB")
        ours(paths)  # compiles
        runs = [ours(paths) for _ in range(2)]
        seconds, compared = theirs(paths)
        verdict = runs[0][1]
        print(f"quantbench {runs[0][0]:7.2f} s, then {runs[1][0]:.2f} s: {verdict!r}")  # noqa: T201
        interval = compared["ci"]["AP"]
        print(f"hotcoco    {seconds:7.2f} s: {interval}")  # noqa: T201
        both = compared["metrics_a"]["AP"], compared["metrics_b"]["AP"]
        if max(abs(both[0] - verdict.reference), abs(both[1] - verdict.quantized)) > 1e-9:
            raise SystemExit(f"AP differs: {both}, {verdict.reference}, {verdict.quantized}")
        print(f"ratio: {seconds / max(run[0] for run in runs):.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
