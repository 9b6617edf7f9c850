"""What loading the plugin costs: wall time of an empty pytest run with it over one without.

Both are timed in turn on this machine; the best of the rounds counts, since everything else that
runs here can only add to it. The last line is the ratio; the line before it the difference.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 15
BARE = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "pytest_benchmark.plugin"]
WITH = [*BARE, "-p", "quantbench.plugin"]


def seconds(arguments: list[str], folder: Path) -> float:
    """Wall time of one run in a fresh process, third-party plugins off but those named."""
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - started


def main() -> None:
    """Time both in turn and print what the plugin adds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_nothing.py").write_text("def test_nothing(): pass\n")
        times = [(seconds(BARE, folder), seconds(WITH, folder)) for _ in range(ROUNDS)]
    bare, loaded = (min(column) for column in zip(*times, strict=True))
    print(f"bare pytest {bare * 1e3:.0f} ms, with quantbench {loaded * 1e3:.0f} ms")  # noqa: T201
    print(f"difference: {(loaded - bare) * 1e3:.1f} ms")  # noqa: T201
    print(f"ratio: {loaded / bare:.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
