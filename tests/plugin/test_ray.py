"""A study on a cluster of Ray nodes on this machine, each with a store of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.plugin.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.plugin.conftest import Study


class Nodes:
    """A cluster of one-core nodes."""

    def __init__(self, folder: Path, number: int) -> None:
        from ray.cluster_utils import Cluster

        self.folder = folder
        self._cluster: Any = Cluster()
        for _ in range(number):
            self.add()

    def add(self, **environment: str) -> Any:
        name = f"n{len(list(self.folder.iterdir()))}"
        (self.folder / name).mkdir()
        own = {"QUANTBENCH_CACHE": str(self.folder / name), "PYTHONPATH": str(ROOT), **environment}
        return self._cluster.add_node(
            num_cpus=1, object_store_memory=100 * 2**20, include_dashboard=False, env_vars=own
        )

    def remove(self, node: Any) -> None:
        self._cluster.remove_node(node, allow_graceful=False)

    @property
    def address(self) -> str:
        address: str = self._cluster.address
        return address

    def close(self) -> None:
        self._cluster.shutdown()


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    outer = {name: os.environ.pop(name) for name in list(os.environ) if "QUANTBENCH_" in name}
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    found = Nodes(tmp_path_factory.mktemp("nodes"), 2)
    yield found
    found.close()
    os.environ |= outer


@pytest.fixture
def cluster(study: Study, nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A study whose runs are told of the cluster."""
    monkeypatch.setenv("RAY_ADDRESS", nodes.address)
    monkeypatch.setenv("QUANTBENCH_EXECUTOR", "ray")
    # Another model than that of other tests: nodes keep what they have built.
    (study.path / "weights.txt").write_text(study.path.name)
    return study


def rows(cache: Path) -> dict[str, bytes]:
    """Of all evidence, by key."""
    found = (cache / "evidence").glob("*/files/rows.jsonl")
    return {path.parts[-3]: path.read_bytes() for path in found}


def test_a_study_is_the_same_on_a_cluster_and_each_artifact_is_built_once(
    cluster: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.write("same", "worse")
    result = cluster.run("-W", "error")
    result.assert_outcomes(passed=5, failed=1)
    assert sorted(cluster.builds()) == ["float", "same", "worse"]
    on_cluster = rows(cluster.path / "cache")
    assert len(on_cluster) == 3 * 2  # blocks of 256 samples
    monkeypatch.setenv("QUANTBENCH_EXECUTOR", "local")
    cluster.run("--quant-cache=local").assert_outcomes(passed=5, failed=1)
    assert rows(cluster.path / "local") == on_cluster


@pytest.mark.slow
def test_what_breaks_on_a_node_is_told_in_the_test(cluster: Study) -> None:
    cluster.write("same", "broken")
    result = cluster.run("-k", "accuracy")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        ["*BuildError: building fake-broken-numbers failed*", "*no kernel for op 7*",
         "*on node *", "*fakes.py*"]
    )  # fmt: skip


@pytest.mark.slow
def test_a_declared_error_and_a_lacking_extra_are_what_they_are_locally(cluster: Study) -> None:
    cluster.write("unreachable", "broken", known_errors={"broken": ("op 7", "no kernel")})
    cluster.run("-k", "accuracy").assert_outcomes(passed=1, skipped=1, xfailed=1)


@pytest.mark.slow
def test_a_shard_that_kills_its_workers_fails_its_case_alone(cluster: Study) -> None:
    fakes = cluster.path / "fakes.py"
    crash = 'self.model["name"] == "crash"'
    fakes.write_text(
        fakes.read_text().replace('os.environ.get("FAKE_CRASH") == self.model["name"]', crash)
    )
    cluster.write("crash", "same")
    result = cluster.run("-k", "accuracy")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*killed 3 workers*", "*worker died*"])


@pytest.mark.slow
def test_a_node_that_is_lost_costs_nothing_but_time(cluster: Study, nodes: Nodes) -> None:
    cluster.write("slow", "same")
    log = cluster.path / "builds.log"
    lost = nodes.add()
    run = started(cluster)
    until(lambda: log.exists() and "slow" in log.read_text())
    time.sleep(0.3)
    nodes.remove(lost)
    said, _ = run.communicate(timeout=120)
    assert run.returncode == 0, said
    assert len(rows(cluster.path / "cache")) == 6


@pytest.mark.slow
def test_a_killed_driver_goes_on_with_what_has_landed(cluster: Study) -> None:
    cluster.write("slow", "same")
    run = started(cluster)
    until(lambda: len(rows(cluster.path / "cache")) > 1)
    run.send_signal(signal.SIGKILL)
    run.communicate()
    before = {
        path: path.stat().st_ino
        for path in (cluster.path / "cache" / "evidence").glob("*/files/rows.jsonl")
    }
    cluster.run("-k", "accuracy").assert_outcomes(passed=3)
    assert {path: path.stat().st_ino for path in before} == before


@pytest.mark.slow
def test_a_node_with_other_code_is_refused(
    cluster: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    shutil.copytree(ROOT / "quantbench", other / "quantbench")
    with (other / "quantbench" / "__main__.py").open("a") as file:
        file.write("# another day\n")
    (tmp_path / "nodes").mkdir()
    alone = Nodes(tmp_path / "nodes", 0)
    try:
        alone.add(PYTHONPATH=str(other))
        monkeypatch.setenv("RAY_ADDRESS", alone.address)
        cluster.write("same")
        result = cluster.run("-k", "accuracy")
        result.assert_outcomes(errors=2)
        result.stdout.fnmatch_lines(
            ["*no node of the cluster is like this machine*", "*quantbench's code * instead of *"]
        )
        assert cluster.builds() == []
    finally:
        alone.close()


@pytest.mark.slow
def test_two_drivers_of_one_store_build_nothing_twice(cluster: Study) -> None:
    cluster.write("slow", "same")
    both = [started(cluster) for _ in range(2)]
    for run in both:
        said, _ = run.communicate(timeout=120)
        assert run.returncode == 0, said
    assert sorted(cluster.builds()) == ["float", "same", "slow"]


@pytest.mark.slow
def test_data_sets_of_test_files_travel_by_value(cluster: Study) -> None:
    cluster.write("same")
    test = cluster.path / "test_fake.py"
    own = (
        "from dataclasses import dataclass, replace\n"
        "from fakes import Numbers\n"
        "@dataclass(frozen=True)\n"
        "class Mine(Numbers):\n"
        "    name: str = 'mine'\n"
    )
    text = test.read_text().replace("model('same')", "replace(model('same'), datasets=(Mine(),))")
    assert "Mine(),)" in text
    test.write_text(own + text)
    cluster.run("-k", "accuracy", "--import-mode=importlib").assert_outcomes(passed=2)


def test_workers_of_xdist_are_refused_beside_a_cluster(study: Study) -> None:
    study.write("same")
    result = study.run("--quant-executor=ray", "-n", "2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--quant-executor and -n do not go together*", "*leave -n out*"])
    assert study.builds() == []


@pytest.mark.slow
@pytest.mark.parametrize("address", ["ray://127.0.0.1:9", "ray"])
def test_a_cluster_that_does_not_answer_is_said(
    study: Study, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    study.write("same")
    result = study.run(f"--quant-executor={address}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*no Ray cluster answers*", "*127.0.0.1:9*"])
    assert study.builds() == []


def test_an_executor_that_does_not_exist_is_refused(study: Study) -> None:
    study.write("same")
    result = study.run("--quant-executor=rey")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--quant-executor*", "*did you mean 'ray'?*"])


def test_models_are_timed_on_the_named_node_alone(study: Study) -> None:
    study.write("same")
    result = study.run("--quant-timing-node=board7", "-rs")
    result.assert_outcomes(passed=2, skipped=2)
    result.stdout.fnmatch_lines(["*models are timed on board7 alone*"])


def started(study: Study) -> subprocess.Popen[str]:
    """The study's accuracy, in a process that can be killed."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-k", "accuracy"]
    return subprocess.Popen(
        command, cwd=study.path, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def until(true: Any, seconds: float = 60) -> None:
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.05)
