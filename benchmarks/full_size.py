"""What full-size models take to build, open and run here, with random weights.

    python benchmarks/full_size.py DATASET MODEL SCHEME [SCHEME ...]

Each scheme has processes of its own, one a step, so a peak is that step's: importing the float
model, building the artifact, opening it and running one sample. What the store has already is not
made again, and its peak is not known. Rows of a Markdown table go to standard output.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from quantbench.catalog.lookup import find_case
from quantbench.core.settings import Settings, usable_threads
from quantbench.errors import QuantbenchError
from quantbench.measure.memory import peak_memory
from quantbench.run.session import Session

STEPS = ("import", "build", "run")
HEADER = ("scheme", "import", "peak", "build", "peak", "MB", "run: peak", "one sample", "tokens/s")
ROUNDS = 3


def step(what: str, name: str) -> dict[str, Any]:
    """Do one step of a case, and say what it took."""
    place, data = os.environ.get("QUANTBENCH_CACHE"), os.environ.get("QUANTBENCH_DATA")
    settings = Settings(
        cache=Path(place) if place else None,
        data=Path(data) if data else None,
        threads=usable_threads(os.environ),
    )
    session, case = Session(settings), find_case(name)
    with peak_memory() as memory:
        if what == "run":
            found = measured_run(session, case)
        else:
            made = session.float_model(case) if what == "import" else session.artifact(case)
            # Nothing is imported where quantizers start from the source as it is.
            found = {"made": made.cache == "built", "s": made.build_s, "bytes": made.size_bytes}
    return {**found, "peak": memory.peak_rss_bytes}


def measured_run(session: Session, case: Any) -> dict[str, Any]:
    """Median seconds of one sample, and tokens a second of generating."""
    sample, taken, rate = session.sample(case), [], None
    with session.warmed(case, sample) as runner:
        for _ in range(ROUNDS):
            started = time.perf_counter()
            runner.predict(sample)
            taken.append(time.perf_counter() - started)
        if (decoder := getattr(runner, "decoder", None)) is not None:
            decode = decoder(sample)
            decode()
            started = time.perf_counter()
            decode()
            rate = decode.tokens / (time.perf_counter() - started)
    tokens = len(getattr(sample, "tokens", ()))
    return {"s": sorted(taken)[ROUNDS // 2], "rate": rate, "tokens": tokens}


def in_a_process(what: str, name: str) -> dict[str, Any]:
    """The step's answer, or what it broke with."""
    done = subprocess.run(
        [sys.executable, __file__, "--step", what, name],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        return {"error": said}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def row(scheme: str, name: str) -> list[str]:
    """A scheme's cells; the first step that breaks ends it."""
    found: dict[str, dict[str, Any]] = {}
    for what in STEPS:
        found[what] = in_a_process(what, name)
        if "error" in found[what]:
            return [scheme, f"{what}: {found[what]['error']}"]
    cells = [scheme]
    for what in ("import", "build"):
        fresh = found[what]["made"]
        cells += [f"{found[what]['s']:.0f} s" if fresh else "stored"]
        cells += [f"{found[what]['peak'] / 1e9:.1f} GB" if fresh else ""]
    run = found["run"]
    rate = f"{run['rate']:.1f}" if run["rate"] else ""
    cells += [f"{found['build']['bytes'] / 1e6:,.1f}", f"{run['peak'] / 1e9:.1f} GB"]
    return [*cells, f"{run['s']:.2f} s of {run['tokens']} tokens", rate]


def main(dataset: str, model: str, *schemes: str) -> None:
    """Print the table."""
    for cells in (HEADER, ["---"] * len(HEADER)):
        print(f"| {' | '.join(cells)} |")  # noqa: T201 - a script
    for scheme in schemes:
        print(f"| {' | '.join(row(scheme, f'{model}-{scheme}-{dataset}'))} |", flush=True)  # noqa: T201


if __name__ == "__main__":
    if sys.argv[1] == "--step":
        try:
            print(json.dumps(step(*sys.argv[2:])))  # noqa: T201
        except QuantbenchError as error:
            sys.exit(f"{type(error).__name__}: {' '.join(str(error).split())}")
    else:
        main(*sys.argv[1:])
