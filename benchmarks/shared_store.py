"""What a team's store saves and costs: a study on a cold and on a warm team, and ms an entry.

    python -m benchmarks.shared_store [STUDY]

STUDY is a test file (default: the digits detector's). The store is moto's S3 in a process of its
own, on loopback; both come with the extra `test`.
"""

from __future__ import annotations

import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from quantbench.store.artifacts import Store
from quantbench.store.remote import Remote
from tests.store.s3 import SERVER

_ENTRIES = 50


def main(study: str = "benchmarks/test_detection.py") -> None:
    """Print both tables."""
    with (
        tempfile.TemporaryDirectory() as scratch,
        subprocess.Popen(
            [sys.executable, "-c", SERVER],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as server,
    ):
        assert server.stdout is not None
        endpoint = f"http://127.0.0.1:{int(server.stdout.readline())}"
        os.environ |= {
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nothing",
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ALLOW_HTTP": "true",
        }
        bucket = urllib.request.Request(f"{endpoint}/team", method="PUT")  # noqa: S310 - loopback
        urllib.request.urlopen(bucket).close()  # noqa: S310
        try:
            _entries(Path(scratch))
            _study(Path(scratch), study)
        finally:
            server.kill()


def _entries(scratch: Path) -> None:
    """Milliseconds an entry of one file: built here, uploaded too, fetched, found here."""
    for size_bytes in (1_000, 1_000_000, 20_000_000):
        url = f"s3://team/entries-{size_bytes}"

        def build(folder: Path, size_bytes: int = size_bytes) -> None:
            (folder / "weights").write_bytes(hashlib.shake_256(b"w").digest(size_bytes))

        took = {
            name: _took_ms(Store(scratch / f"{folder}-{size_bytes}", remote), build)
            for name, folder, remote in (
                ("built", "alone", None),
                ("built and uploaded", "one", Remote(url)),
                ("fetched", "two", Remote(url)),
                ("found here", "two", Remote(url)),
            )
        }
        told = ", ".join(f"{name} {ms:.1f}" for name, ms in took.items())
        print(f"{size_bytes:>10,} bytes, median ms an entry: {told}", flush=True)  # noqa: T201


def _took_ms(store: Store, build: object) -> float:
    times = []
    for number in range(_ENTRIES):
        started = time.perf_counter()
        store.get("artifact", {"number": number}, build)  # type: ignore[arg-type]
        times.append(time.perf_counter() - started)
    return 1e3 * statistics.median(times)


def _study(scratch: Path, study: str) -> None:
    """Seconds of whole runs, start of Python and imports included."""
    runs = (
        ("cold, no team", f"{scratch}/alone"),
        ("cold, fills the team's store", f"{scratch}/first,s3://team/study"),
        ("fresh machine, warm team", f"{scratch}/fresh,s3://team/study"),
        ("warm machine", f"{scratch}/fresh,s3://team/study"),
    )
    for name, place in runs:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        started = time.perf_counter()
        done = subprocess.run(
            [*command, study, "-k", "not latency", "--quant-cache", place],
            check=False,
            capture_output=True,
            text=True,
        )
        took_s = time.perf_counter() - started
        print(f"{name:<30} {took_s:6.1f} s  {done.stdout.splitlines()[-1]}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
