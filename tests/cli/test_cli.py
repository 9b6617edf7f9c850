"""`quantbench` as a shell sees it: streams, exit status, and what it says of bad files."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from quantbench import cases
from quantbench.record.schema import document, empty_record

if TYPE_CHECKING:
    from pathlib import Path

BARE = (
    '{"case": "a", "model": "a", "scheme": "a", "task": "a", "dataset": {}, "metrics": {}, '
    '"verdicts": [{}]}'
)
CASES = cases("smollm2_135m_instruct", datasets=["kjv"])


def quantbench(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "quantbench", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def record(index: int, accuracy: float, **known: Any) -> dict[str, Any]:
    half = 0.02
    metric = {"value": accuracy, "low": accuracy - half, "high": accuracy + half}
    verdict = {
        "metric": "accuracy",
        "margin": 0.03,
        "confidence": 0.95,
        "relative": False,
        "lower_is_better": False,
        "against": "reference",
        "outcome": "pass",
    }
    return empty_record(CASES[index]) | {
        "metrics": {"accuracy": metric | {"confidence": 0.95, "n": 500, "method": "m"}},
        "verdicts": [verdict],
        "artifact": {"sha256": "a" * 64, "size_bytes": 10},
        "dataset": {"name": "kjv", "n": 500, "sha256": "d" * 64},
        "evidence": {"keys": ["e" * 64], "sha256": f"{accuracy:064f}", "protocol": "p" * 64},
        "memory": {"weights_bytes": 100, "peak_rss_bytes": None, "peak_device_bytes": None},
        **known,
    }


def written(path: Path, *records: dict[str, Any], **changes: Any) -> Path:
    made = document(records, {}, {"packages": {"torch": "2.13.0"}}) | changes
    path.write_text(json.dumps({"benchmarks": [], "quantbench": made}))
    return path


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    latency = {"median_ns": 1000}
    before = written(tmp_path / "a.json", record(0, 0.58), record(1, 0.57, latency=latency))
    worse = record(1, 0.37, latency={"median_ns": 1500})
    return before, written(tmp_path / "b.json", record(0, 0.58), worse)


def test_help_has_examples_and_every_command() -> None:
    said = quantbench("--help")
    assert said.returncode == 0
    assert {"accept", "compare"} <= set(said.stdout.split())
    for command in ("accept", "compare"):
        assert "Example: quantbench" in quantbench(command, "-h").stdout


def test_an_unknown_command_is_a_usage_error() -> None:
    said = quantbench("acept")
    assert (said.returncode, said.stdout) == (2, "")
    assert "acept" in said.stderr


def test_compare_puts_the_worst_first_and_exits_1(runs: tuple[Path, Path], tmp_path: Path) -> None:
    said = quantbench("compare", *runs, "--quant-cache", tmp_path / "cache")
    assert said.returncode == 1
    first = said.stdout.splitlines()[1].split()
    assert first[:3] == ["smollm2_135m_instruct-gptq_int8_g64-kjv", "fail", "accuracy"]
    assert first[3:6] == ["0.570", "0.370", "-0.200"]
    assert "x1.50" in first
    assert "1 of 2 by intervals alone" in said.stdout
    assert quantbench("compare", runs[0], runs[0]).returncode == 0


def test_compare_writes_what_programs_read(runs: tuple[Path, Path]) -> None:
    rows = json.loads(quantbench("compare", *runs, "--format", "json").stdout)
    assert [row["verdict"] for row in rows] == ["fail", "pass"]
    assert rows[0]["difference"] == pytest.approx(-0.2)
    assert rows[0]["time_ratio"] == 1.5
    lines = quantbench("compare", *runs, "--format", "csv").stdout.splitlines()
    assert [row["case"] for row in csv.DictReader(lines)] == [row["case"] for row in rows]
    markdown = quantbench("compare", *runs, "--format", "markdown").stdout.splitlines()
    assert markdown[1].startswith("| --- | --- |")


def test_a_third_file_is_compared_with_the_first_too(runs: tuple[Path, Path]) -> None:
    rows = json.loads(quantbench("compare", *runs, runs[0], "--format", "json").stdout)
    assert [row["file"] for row in rows] == [str(runs[1])] * 2 + [str(runs[0])] * 2


def test_runs_that_are_not_alike_are_refused(runs: tuple[Path, Path], tmp_path: Path) -> None:
    data = {"name": "kjv", "n": 100, "sha256": "f" * 64}
    other = written(tmp_path / "c.json", record(0, 0.58, dataset=data))
    said = quantbench("compare", runs[0], other)
    assert (said.returncode, said.stdout) == (2, "")
    assert "evaluated on other samples" in said.stderr
    protocol = {"keys": [], "sha256": "", "protocol": "q" * 64}
    other = written(tmp_path / "c.json", record(0, 0.58, evidence=protocol))
    assert "under another protocol" in quantbench("compare", runs[0], other).stderr
    other = written(tmp_path / "c.json", record(2, 0.58))
    assert "share no case" in quantbench("compare", runs[0], other).stderr
    assert quantbench("compare", runs[0]).returncode == 2


def test_what_broke_or_vanished_is_worse(runs: tuple[Path, Path], tmp_path: Path) -> None:
    error = {"stage": "setup", "type": "BuildError", "message": "no kernel"}
    broken = written(tmp_path / "c.json", record(0, 0.58), record(1, 0.57, error=error))
    said = quantbench("compare", runs[0], broken, "--format", "json")
    assert said.returncode == 1
    assert [row["verdict"] for row in json.loads(said.stdout)] == ["error", "pass"]
    fewer = written(tmp_path / "d.json", record(0, 0.58))
    said = quantbench("compare", runs[0], fewer, "--format", "json")
    assert said.returncode == 1
    assert [row["verdict"] for row in json.loads(said.stdout)] == ["missing", "pass"]


def test_every_gate_is_compared(runs: tuple[Path, Path], tmp_path: Path) -> None:
    def two_gates(name: str, top5: float) -> Path:
        made = record(1, 0.57)
        made["metrics"]["top5"] = made["metrics"]["accuracy"] | {
            "value": top5,
            "low": top5 - 0.02,
            "high": top5 + 0.02,
        }
        made["verdicts"].append(made["verdicts"][0] | {"metric": "top5"})
        made["evidence"] = made["evidence"] | {"sha256": f"{top5:064f}"}  # of other rows
        return written(tmp_path / name, made)

    said = quantbench(
        "compare", two_gates("e.json", 0.8), two_gates("f.json", 0.6), "--format", "json"
    )
    assert said.returncode == 1
    found = {row["metric"]: row["verdict"] for row in json.loads(said.stdout)}
    assert found == {"accuracy": "pass", "top5": "fail"}


def test_accept_writes_a_small_sorted_file_without_times(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    said = quantbench("accept", runs[0])
    assert said.returncode == 0
    baseline = json.loads(said.stdout)
    assert list(baseline["cases"]) == sorted(str(case) for case in CASES[:2])
    assert "latency" not in json.dumps(baseline)
    assert quantbench("accept", runs[0], "-o", tmp_path / "out.json").stdout == ""
    assert (tmp_path / "out.json").read_text() == said.stdout
    timed = json.loads(quantbench("accept", runs[0], "--times").stdout)
    assert timed["cases"][str(CASES[1])]["latency"] == {"median_ns": 1000}


def test_a_run_without_evidence_cannot_be_accepted(tmp_path: Path) -> None:
    bare = written(tmp_path / "bare.json", empty_record(CASES[0]))
    said = quantbench("accept", bare)
    assert said.returncode == 2
    assert "nothing to accept" in said.stderr


@pytest.mark.parametrize("command", ["accept", "compare"])
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "cannot read the file"),
        ('{"quantbench": {"schema": 2, "records": [', "cannot read the file"),
        ('{"quantbench": {"schema": 2, "records": [NaN]}}', "NaN is no JSON"),
        ("[" * 100_000, "cannot read the file"),
        ("[]", "no record file of quantbench"),
        ('{"benchmarks": []}', "no record file of quantbench"),
        ('{"quantbench": {"schema": "2"}}', "without a version"),
        ('{"quantbench": {"schema": 99, "records": []}}', "written by a newer quantbench"),
        ('{"quantbench": {"schema": 2}}', "without records"),
        ('{"quantbench": {"schema": 2, "records": [1]}}', "record 0"),
        ('{"quantbench": {"schema": 2, "records": [{"case": "a"}]}}', "model is missing"),
        ('{"quantbench": {}, "quantbench": {}}', "a key twice"),
        (f'{{"quantbench": {{"schema": 2, "records": [{BARE}]}}}}', "malformed"),
    ],
)
def test_a_file_that_is_no_record_is_explained(
    tmp_path: Path, command: str, text: str, says: str
) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    said = quantbench(command, path, *([path] if command == "compare" else []))
    assert (said.returncode, said.stdout) == (2, "")
    assert says in said.stderr
    assert "Traceback" not in said.stderr


def test_a_file_that_is_not_there_is_explained(tmp_path: Path) -> None:
    said = quantbench("accept", tmp_path / "nowhere.json")
    assert said.returncode == 2
    assert "nowhere.json" in said.stderr
    assert "Traceback" not in said.stderr


def test_files_of_the_first_schema_are_read_forever(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    old = record(1, 0.57)
    del old["evidence"], old["device"]
    rate = old["metrics"]["accuracy"] | {"value": 900.0}
    old["metrics"]["tokens_per_s"] = rate
    old["verdicts"] = [
        {"metric": "accuracy", "margin": 0.03, "confidence": 0.95, "outcome": "pass"}
    ]
    first = written(tmp_path / "old.json", old, schema=1)
    rows = json.loads(quantbench("compare", first, runs[1], "--format", "json").stdout)
    assert [row["verdict"] for row in rows] == ["fail"]


def test_energies_of_one_kind_are_compared(tmp_path: Path) -> None:
    def run(name: str, joules: float, provenance: str = "measured") -> Path:
        energy = {"joules_per_sample": joules, "provenance": provenance}
        return written(tmp_path / name, record(0, 0.58, energy=energy))

    before, after = run("a.json", 2.0), run("b.json", 1.5)
    (row,) = json.loads(quantbench("compare", before, after, "--format", "json").stdout)
    assert row["energy_ratio"] == 0.75
    assert quantbench("compare", before, after).stdout.splitlines()[1].endswith("x0.75")
    guessed = run("c.json", 1.5, "estimated")
    (row,) = json.loads(quantbench("compare", before, guessed, "--format", "json").stdout)
    assert row["energy_ratio"] is None


def test_machines_stand_side_by_side_and_are_not_judged(runs: tuple[Path, Path]) -> None:
    said = quantbench("compare", *runs, "--machines")
    assert said.returncode == 0  # though the second run is worse
    assert "instruction sets" in said.stdout.splitlines()[0]
    assert "differ" in said.stdout
