"""The JSON file: valid for pytest-benchmark, with every case's record, whatever happens."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Study


def read(study: Study) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((study.path / "out.json").read_text())
    return document


def records(study: Study) -> dict[str, dict[str, Any]]:
    listed = read(study)["quantbench"]["records"]
    by_scheme = {record["scheme"]: record for record in listed}
    assert len(by_scheme) == len(listed), "a record arrived twice"
    return by_scheme


def test_every_case_is_recorded_with_what_was_measured(study: Study) -> None:
    study.write("same")
    study.run("--benchmark-json", "out.json").assert_outcomes(passed=4)
    record = records(study)["same"]
    assert record["case"] == "fake-same-numbers"
    assert record["dataset"]["n"] == 400
    assert record["metrics"]["accuracy"]["value"] == pytest.approx(0.8)
    assert record["metrics"]["accuracy"]["low"] < 0.8 < record["metrics"]["accuracy"]["high"]
    assert record["metrics"]["perplexity"]["value"] == pytest.approx(2.718281828)
    (verdict,) = record["verdicts"]
    assert verdict["outcome"] == verdict["expected"] == "pass"
    assert record["latency"]["median_ns"] > 0
    assert record["latency"]["rounds"] >= 2
    per_second = record["metrics"]["prefill_tokens_per_s"]
    assert per_second["value"] == pytest.approx(3e9 / record["latency"]["median_ns"], rel=0.01)
    assert per_second["low"] <= per_second["value"] <= per_second["high"]
    assert record["cache"] == {"artifact": "built", "evidence": "computed"}
    assert record["energy"]["joules_per_sample"] is None
    assert record["energy"]["provenance"] == "unavailable"
    assert record["error"] is None


def test_flips_and_the_explanation_are_recorded(study: Study) -> None:
    study.write("worse", "close")
    study.run("--benchmark-json", "out.json")
    worse, close = records(study)["worse"], records(study)["close"]
    assert worse["metrics"]["lost"]["value"] == pytest.approx(0.3)
    assert worse["metrics"]["gained"]["value"] == 0
    # nearly as often right, but on other samples
    assert close["metrics"]["lost"]["value"] > 0.2
    assert close["metrics"]["gained"]["value"] > 0.15
    assert records(study)["float"]["metrics"]["lost"]["value"] == 0
    assert worse["explanation"] == {"samples": 400}


def test_the_file_stays_pytest_benchmarks_own(study: Study) -> None:
    study.write("same")
    study.run("--benchmark-json", "out.json")
    timing = read(study)["benchmarks"][0]
    assert timing["extra_info"]["case"].startswith("fake-")
    assert timing["extra_info"]["metrics"]["accuracy"] == pytest.approx(0.8)
    compared = subprocess.run(
        [sys.executable, "-m", "pytest_benchmark", "compare", "out.json"],
        cwd=study.path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert compared.returncode == 0, compared.stderr
    assert "test_latency[fake-same-numbers]" in compared.stdout


def test_memory_is_that_of_the_artifact_as_it_is_stored(study: Study) -> None:
    study.write("same")
    fakes = study.path / "fakes.py"
    unpacked = 'evaluated_as="unpacked weights", kernel="fake"'
    fakes.write_text(fakes.read_text().replace('kernel="fake"', unpacked))
    study.run("-k", "accuracy", "--benchmark-json", "out.json")
    assert records(study)["same"]["memory"]["peak_rss_bytes"] is None
    study.run("--benchmark-json", "out.json")
    assert records(study)["same"]["memory"]["peak_rss_bytes"] > 1_000_000


def test_a_second_run_is_served_from_the_store(study: Study) -> None:
    study.write("same")
    study.run("--benchmark-json", "out.json")
    study.run("--benchmark-json", "out.json")
    assert sorted(study.builds()) == ["float", "same"]
    assert records(study)["same"]["cache"] == {"artifact": "hit", "evidence": "hit"}


@pytest.mark.parametrize("options", [["-n", "2"], ["-k", "accuracy"]], ids=["xdist", "untimed"])
def test_without_timings_quantbench_writes_the_file_itself(
    study: Study, options: list[str]
) -> None:
    study.write("same", "worse", known_failures={"worse": "known"})
    result = study.run("--benchmark-json", "out.json", *options)
    assert result.ret == 0, result.stdout.str()
    document = read(study)
    assert document["benchmarks"] == []
    assert {"machine_info", "commit_info", "datetime", "version"} <= set(document)
    assert set(records(study)) == {"float", "same", "worse"}
    assert all(record["latency"] is None for record in records(study).values())
    assert all(record["verdicts"] for record in records(study).values())
    said = "without -n" if "-n" in options else "benchmark(quantized.predict, sample)"
    result.stdout.fnmatch_lines([f"*no latency was measured*{said}*"])


def test_where_warnings_are_errors_an_untimed_run_keeps_its_file(study: Study) -> None:
    """pytest-benchmark warns that it saves nothing; that must not end the run."""
    study.write("same")
    error = "error::pytest_benchmark.logger.PytestBenchmarkWarning"
    result = study.run("--benchmark-json", "out.json", "-k", "accuracy", "-W", error)
    assert result.ret == 0, result.stdout.str() + result.stderr.str()
    assert set(records(study)) == {"float", "same"}


def test_a_run_that_skips_everything_says_so_in_the_file(study: Study) -> None:
    study.write("unreachable")
    study.run("--quant-schemes", "unreachable", "--benchmark-json", "out.json")
    assert read(study)["quantbench"]["records"] == []
    (skipped,) = read(study)["quantbench"]["skipped"]
    assert skipped["case"] == "fake-unreachable-numbers"
    assert "the fake registry is closed" in skipped["reason"]


def test_workers_share_the_store(study: Study) -> None:
    study.write("same", "close", "worse", known_failures={"worse": "known"})
    study.run("-n", "2")
    assert sorted(study.builds()) == ["close", "float", "same", "worse"]


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "xdist"])
def test_a_broken_case_loses_no_other_record(study: Study, workers: list[str]) -> None:
    study.write("broken", "same")
    result = study.run("--benchmark-json", "out.json", *workers)
    result.assert_outcomes(passed=4, errors=2)
    found = records(study)
    assert found["same"]["verdicts"][0]["outcome"] == "pass"
    assert found["broken"]["error"]["type"] == "BuildError"
    assert "no kernel for op 7" in found["broken"]["error"]["message"]
    assert found["broken"]["metrics"] == {}
    result.stdout.fnmatch_lines(["*broken*error*", "*BuildError: building fake-broken-numbers*"])


def test_a_broken_build_is_tried_once_a_run(study: Study) -> None:
    study.write("broken")
    study.run()
    assert study.builds().count("broken") == 1


def test_nan_is_an_error_and_never_a_number(study: Study) -> None:
    study.write("nan")
    study.run("--benchmark-json", "out.json")
    assert "NaN" not in (study.path / "out.json").read_text()
    assert records(study)["nan"]["error"]["type"] == "PredictionError"


def test_a_worker_that_dies_costs_only_its_own_case(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.write("same", "close")
    monkeypatch.setenv("FAKE_CRASH", "close")
    result = study.run("-n", "2", "--benchmark-json", "out.json")
    assert result.ret != 0
    assert records(study)["same"]["verdicts"][0]["outcome"] == "pass"


def test_ci_gets_the_table_as_markdown(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    study.write("same", "worse")
    (path := study.path / "summary.md").write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    study.run("-n", "2").assert_outcomes(passed=5, failed=1)
    text = path.read_text()
    assert text.startswith("before\n## quantbench\n")
    assert "1 is worse than its margin allows" in text
    assert "| worse | fail |" in text
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(study.path / "no" / "such" / "folder"))
    result = study.run("-n", "2")
    result.assert_outcomes(passed=5, failed=1)
    result.stdout.fnmatch_lines(["*no job summary*"])


def test_the_samples_that_changed_most_are_kept(study: Study) -> None:
    study.write("worse")
    study.run("--benchmark-json", "out.json")
    found = records(study)
    assert len(found["worse"]["examples"]) == 10
    assert found["float"]["examples"] == []
    study.run("--benchmark-json", "out.json", "--quant-examples", "0")
    assert records(study)["worse"]["examples"] == []


def seen_on_a_terminal(command: list[str], study: Study) -> str:
    leader, follower = os.openpty()
    environment = {**os.environ, "COLUMNS": "90", "TERM": "xterm", "PY_COLORS": "1"}
    with subprocess.Popen(
        command, stdout=follower, stderr=follower, stdin=follower, cwd=study.path, env=environment
    ):
        os.close(follower)
        text = b""
        while True:
            try:
                chunk = os.read(leader, 4096)
            except OSError:  # the other end is closed
                break
            if not chunk:
                break
            text += chunk
    os.close(leader)
    return text.decode()


def test_a_terminal_sees_progress_and_colour_and_a_file_sees_neither(study: Study) -> None:
    """A pseudo-terminal of 90 columns; the same words as without one."""
    study.write("slow")
    plain = study.run().stdout.str()
    assert "\x1b" not in plain
    assert "evaluating" not in plain
    shutil.rmtree(study.path / "cache")
    text = seen_on_a_terminal([sys.executable, "-m", "pytest", "-p", "no:cacheprovider"], study)
    assert "\x1b[32mpass" in text
    assert "fake on numbers, 400 samples" in text
    assert re.search(r"evaluating fake-slow-numbers: \d+ of 400, \d+/s, 0:0\d left", text)


def test_a_run_compared_with_itself_is_exactly_the_same(study: Study) -> None:
    study.write("close")
    study.run("-k", "accuracy", "--benchmark-json", "out.json")
    shutil.copy(study.path / "out.json", study.path / "again.json")
    result = study.command("compare", "out.json", "again.json", "--format", "json")
    rows = {row["case"]: row for row in json.loads(result.stdout.str())}
    assert result.ret == 0
    row = rows["fake-close-numbers"]
    assert (row["difference"], row["low"], row["high"], row["verdict"]) == (0, 0, 0, "pass")


def test_a_metric_that_is_no_mean_is_compared_in_pairs_where_its_rows_are_stored(
    study: Study,
) -> None:
    study.write("drifting")
    path = study.path / "test_fake.py"
    path.write_text(path.read_text().replace('metric="accuracy"', 'metric="word_top5"'))
    fakes = study.path / "fakes.py"
    known = "    without_model = classmethod(lambda cls, _: cls(None, None))"
    prepare = "    def prepare(self"
    fakes.write_text(fakes.read_text().replace(prepare, f"{known}\n\n{prepare}"))
    study.run("-k", "accuracy", "--benchmark-json", "before.json")
    study.drift(24)
    study.run("-k", "accuracy", "--benchmark-json", "after.json")
    result = study.command("compare", "before.json", "after.json", "--format", "json")
    rows = {row["case"]: row for row in json.loads(result.stdout.str())}
    assert rows["fake-drifting-numbers"]["paired"] is True


def test_a_baseline_of_the_same_model_is_met_exactly(study: Study) -> None:
    study.write("close")
    gate = ("-k", "accuracy and close", "--quant-inconclusive", "pass")
    study.run(*gate, "--benchmark-json", "out.json")
    study.command("accept", "out.json", "-o", "main.json")
    study.run(*gate, "--benchmark-json", "out.json", "--quant-baseline", "main.json")
    verdicts = records(study)["close"]["verdicts"]
    against = {verdict["against"]: verdict for verdict in verdicts}
    assert (against["baseline"]["outcome"], against["baseline"]["low"]) == ("pass", 0.0)
