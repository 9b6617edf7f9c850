"""A backend and a task from outside: nothing in quantbench names them, and all of it works."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import quantbench
from quantbench import errors
from tests.thirdparty.conftest import STUDY, Place, register
from tests.thirdparty.oracle import SAMPLES, Expected

BITS = {"linear_float64": 64, "linear_int8": 8, "linear_int4": 4}
CASES = {scheme: f"gaussian_lda-{scheme}-clusters" for scheme in BITS}
MARGIN = 0.02


@pytest.fixture(scope="module")
def done(site: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, str]:
    """The study, run alone, with its record file; and what the run said."""
    place = Place(tmp_path_factory.mktemp("study"), site)
    shutil.copy(STUDY, place.path)
    said = place.run("--benchmark-json", "out.json", "--quant-diagnose", "quick")
    return place, said.stdout + said.stderr


def records(path: Path) -> dict[str, Any]:
    """Records of a file by their schemes."""
    found = json.loads(path.read_text())["quantbench"]["records"]
    return {record["scheme"]: record for record in found}


@pytest.fixture
def found(done: tuple[Place, str]) -> dict[str, Any]:
    return records(done[0].path / "out.json")


def test_the_study_runs_and_only_four_bits_fail(done: tuple[Place, str]) -> None:
    _, said = done
    assert re.search(r"\b1 failed, 5 passed", said), said
    assert f"FAILED test_linear_study.py::TestLinear::test_top1[{CASES['linear_int4']}]" in said


@pytest.mark.parametrize("scheme", BITS)
def test_a_record_holds_what_numpy_computes(found: dict[str, Any], scheme: str) -> None:
    record, expected = found[scheme], Expected(BITS[scheme])
    assert record["case"] == CASES[scheme]
    assert record["task"] == "vector_classification"
    assert record["bits"] == BITS[scheme]
    assert record["dataset"]["n"] == SAMPLES
    for metric in ("top1", "agreement_top1", "score_drift"):
        value = record["metrics"][metric]["value"]
        assert value == pytest.approx(getattr(expected, metric), abs=1e-9), metric
    assert record["memory"]["weights_bytes"] == expected.weights_bytes
    assert record["runner"]["kernel"] == "numpy"
    recalls = record["explanation"]["recall_by_class"]
    assert sorted(recalls) == [str(label) for label in range(10)]
    assert record["latency"]["rounds"] >= 2


@pytest.mark.parametrize("scheme", BITS)
def test_a_verdict_is_what_numpy_computes(found: dict[str, Any], scheme: str) -> None:
    (verdict,), expected = found[scheme]["verdicts"], Expected(BITS[scheme])
    assert verdict["outcome"] == expected.outcome(MARGIN)
    assert verdict["reference"] == pytest.approx(Expected(64).top1)
    lost, won = expected.flips
    assert verdict["difference"] == pytest.approx((won - lost) / SAMPLES)
    assert tuple(verdict["flips"]) == (lost, won)
    low, high = expected.bounds
    assert verdict["low"] == pytest.approx(low, abs=0.002)
    assert verdict["high"] == pytest.approx(high, abs=0.002)


def test_numpy_lets_four_bits_fail_and_eight_pass() -> None:
    assert [Expected(bits).outcome(MARGIN) for bits in (64, 8, 4)] == ["pass", "pass", "fail"]


def test_a_failure_is_explained_by_the_noisiest_class(
    done: tuple[Place, str], found: dict[str, Any]
) -> None:
    diagnosis, snr_db = found["linear_int4"]["diagnosis"], Expected(4).snr_db
    worst = f"class {snr_db.argmin()}"
    (cause,) = diagnosis["findings"]
    assert (cause["cause"], cause["ops"]) == ("noisy class", [worst])
    assert [each["snr_db"] for each in diagnosis["profile"]] == pytest.approx(snr_db, abs=0.006)
    assert "1. noisy class" in done[1]
    assert found["linear_int8"]["diagnosis"] is None


def test_examples_are_those_whose_scores_moved_furthest(found: dict[str, Any]) -> None:
    examples = found["linear_int4"]["examples"]
    moved = [each["change"] for each in examples]
    assert len(moved) == 10
    assert moved == sorted(moved, reverse=True)
    assert moved[0] > Expected(4).score_drift


def test_two_processes_find_what_one_finds(place: Place, found: dict[str, Any]) -> None:
    said = place.run("-n", "2", "--benchmark-json", "out.json").stdout
    assert re.search(r"\b1 failed, 5 passed", said), said
    wide = records(place.path / "out.json")
    for scheme, record in found.items():
        for name in ("metrics", "verdicts", "evidence", "artifact", "examples"):
            assert wide[scheme][name] == record[name], (scheme, name)


@pytest.mark.parametrize("form", ["html", "markdown", "csv", "json"])
def test_a_report_shows_its_cases(done: tuple[Place, str], form: str) -> None:
    told = done[0].command("report", "out.json", "--format", form)
    assert told.returncode == 0, told.stderr
    assert all(name in told.stdout for name in ("gaussian_lda", "linear_int4", "top1"))


def test_a_run_compares_with_itself_and_with_a_worse_one(done: tuple[Place, str]) -> None:
    path = done[0].path
    same = done[0].command("compare", "out.json", "out.json", "--quant-cache", "cache")
    assert same.returncode == 0, same.stderr
    document = json.loads((path / "out.json").read_text())
    by_scheme = {record["scheme"]: record for record in document["quantbench"]["records"]}
    for name in ("metrics", "evidence", "artifact", "verdicts"):  # as if int8 had become int4
        by_scheme["linear_int8"][name] = by_scheme["linear_int4"][name]
    (path / "worse.json").write_text(json.dumps(document))
    worse = done[0].command("compare", "out.json", "worse.json", "--quant-cache", "cache")
    assert worse.returncode == 1, worse.stderr
    assert re.search(rf"{CASES['linear_int8']} +fail +top1", worse.stdout), worse.stdout


def test_what_was_accepted_is_the_next_run_s_second_gate(done: tuple[Place, str]) -> None:
    place, _ = done
    accepted = place.command("accept", "out.json", "-o", "baseline.json")
    assert accepted.returncode == 0, accepted.stderr
    baseline = json.loads((place.path / "baseline.json").read_text())
    assert sorted(baseline["cases"]) == sorted(CASES.values())
    options = ("--quant-baseline", "baseline.json", "--benchmark-json", "again.json")
    place.run("-k", "int8 and top1", *options)
    verdicts = records(place.path / "again.json")["linear_int8"]["verdicts"]
    assert {each["against"]: each["outcome"] for each in verdicts} == {
        "reference": "pass",
        "baseline": "pass",
    }


def test_a_declared_failure_leaves_the_run_green(place: Place) -> None:
    study = STUDY.read_text().replace(
        "cases(MODEL)", 'cases(MODEL, known_failures={"linear_int4": "the bias sets the scale"})'
    )
    place.write(test_linear_study=study)
    said = place.run("-k", "top1").stdout
    assert re.search(r"\b2 passed, 3 deselected, 1 xfailed", said), said


def test_groups_of_the_data_set_are_what_is_judged(place: Place) -> None:
    study = STUDY.read_text().replace("import MODEL", "import MODEL, GaussianClusters")
    sessions = 'datasets=[GaussianClusters(name="sessions", sessions=50)]'
    place.write(test_linear_study=study.replace("cases(MODEL)", f"cases(MODEL, {sessions})"))
    place.run("-k", "top1", "--benchmark-json", "out.json")
    (verdict,) = records(place.path / "out.json")["linear_int4"]["verdicts"]
    assert (verdict["groups"], verdict["outcome"]) == (50, "fail")


@pytest.mark.parametrize(
    ("scheme", "said"),
    [
        ("linear_int5", "did you mean 'linear_int"),
        ("linear_int4_s1", "linear_int4 is not calibrated: a seed changes nothing"),
    ],
)
def test_a_scheme_that_cannot_be_meant_is_refused(place: Place, scheme: str, said: str) -> None:
    told = place.run("--quant-schemes", scheme)
    assert told.returncode == 4
    assert said in told.stderr


def test_weights_that_cannot_be_read_are_a_build_error(place: Place) -> None:
    (place.path / "weights.csv").write_text("label,bias,w0\n1,0,0\n0,0,0\n")
    study = STUDY.read_text().replace(
        "cases(MODEL)", 'cases(replace(MODEL, source="file:weights.csv"))'
    )
    place.write(test_linear_study=study.replace("import pytest", REPLACE, 1))
    said = place.run("-k", "int4 and top1").stdout
    assert "BuildError: the weights of gaussian_lda cannot be read" in said
    assert "labels [1.0, 0.0]" in said


REPLACE = "from dataclasses import replace\n\nimport pytest"
WRONG_RUNNER = """
from dataclasses import replace

import numpy as np
from quantbench_linear.runner import LinearRunner

class WrongRunner(LinearRunner):
    def facts(self):
        return {wrong}
"""
# Only names of code: this module is imported while quantbench looks for backends.
WRONG_BACKEND = """
from quantbench.protocols import Backend
from quantbench.study.family import ListedSchemes

BACKEND = Backend(
    name="numpy_wrong",
    schemes=ListedSchemes("numpy_wrong", {"linear": {"wrong_int8": ("int8", "float64")}}),
    runner="wrong_runner:WrongRunner",
    starts_from=("linear_npz",),
    quantizers={"linear": "quantbench_linear.quantizer:LinearQuantizer"},
)
"""


@pytest.mark.parametrize(
    "wrong",
    [
        '{"threads": 1, "weights_bytes": 8}',
        "replace(super().facts(), weights_bytes=None)",
        "replace(super().facts(), threads=0)",
        "replace(super().facts(), kernel=7)",
        'replace(super().facts(), more={"scale": np.float32(1)})',
        'replace(super().facts(), more={"snr_db": float("nan")})',
    ],
)
def test_wrong_facts_of_a_runner_are_an_error_of_quantbench(place: Place, wrong: str) -> None:
    point = {"quantbench.backends": {"numpy_wrong": "wrong_backend:BACKEND"}}
    register(place.path, "numpy-wrong", "1.0", point)
    place.write(
        wrong_runner=WRONG_RUNNER.replace("{wrong}", wrong),
        wrong_backend=WRONG_BACKEND,
        test_linear_study=STUDY.read_text().replace(
            "cases(MODEL)", 'cases(MODEL, schemes=["linear_float64", "wrong_int8"])'
        ),
    )
    told = place.run("--benchmark-json", "out.json", "-k", "wrong_int8")
    assert "INTERNALERROR" not in told.stdout + told.stderr
    assert told.returncode == 1
    error = records(place.path / "out.json")["wrong_int8"]["error"]
    assert issubclass(getattr(errors, error["type"]), errors.QuantbenchError)
    assert "wrong_runner.WrongRunner.facts" in error["message"]


def test_cases_lists_those_of_a_model_from_outside(place: Place) -> None:
    told = place.command("cases", "quantbench_linear:MODEL")
    assert told.returncode == 0, told.stderr
    assert [line.split()[:2] for line in told.stdout.splitlines()] == [
        [case, "ready"] for case in CASES.values()
    ]


@pytest.mark.parametrize(
    "name",
    [
        "quantbench_linear:MODEL-linear_int4-clusters",
        f"test_linear_study.py::{CASES['linear_int4']}",
    ],
)
def test_diagnose_takes_a_case_from_outside(place: Place, name: str) -> None:
    told = place.command("diagnose", name)
    assert told.returncode == 0, told.stderr
    assert "1. noisy class" in told.stdout
    assert f"class {Expected(4).snr_db.argmin()}" in told.stdout


def test_the_shipped_weights_are_those_that_the_script_computes(place: Place) -> None:
    place.write(again="from quantbench_linear.train import weights_csv\nprint(weights_csv())")
    place.write(test_weights=(
        "from quantbench_linear.train import WEIGHTS, weights_csv\n"
        "def test_same():\n    assert weights_csv() == WEIGHTS.read_text()\n"
    ))  # fmt: skip
    assert place.run("test_weights.py").returncode == 0


def test_describing_the_backend_and_the_model_imports_no_numpy(place: Place) -> None:
    place.write(test_light=(
        "import subprocess, sys\n"
        "CODE = 'import sys, quantbench_linear.backend; assert \"numpy\" not in sys.modules'\n"
        "def test_light():\n    subprocess.run([sys.executable, '-c', CODE], check=True)\n"
    ))  # fmt: skip
    said = place.run("test_light.py")
    assert said.returncode == 0, said.stdout


def test_quantbench_names_nothing_of_the_package() -> None:
    ours = {
        path: path.read_text(encoding="utf-8")
        for path in Path(quantbench.__file__).parent.rglob("*")
        if path.suffix in {".py", ".js", ".jinja", ".css"}
    }
    theirs = ("quantbench_linear", "numpy_linear", "linear_csv", "vector_classification")
    assert len(ours) > 100
    assert [path for path, text in ours.items() if any(name in text for name in theirs)] == []


def test_a_plan_of_it_says_what_is_not_known_until_it_was_done_here(place: Place) -> None:
    """The backend says nothing of its needs: they are learned from the store."""
    before = place.command("plan", "test_linear_study.py")
    assert before.returncode == 0, before.stderr
    assert before.stdout.startswith("fits: ")
    assert "time not known of" in before.stdout
    assert "unknown: never done here" in before.stdout
    assert not (place.path / "cache" / "artifact").exists()
    place.run()
    after = place.command("plan", "test_linear_study.py")
    assert after.stdout.startswith("fits: everything is in the store"), after.stdout
    larger = json.loads(
        place.command("plan", "test_linear_study.py", "--samples", "50", "--json").stdout
    )
    needs = [need for case in larger["cases"] for need in case["needs"]]
    predicted = [need for need in needs if need["kind"] == "predict"]
    assert len(predicted) == len(CASES)
    assert {need["rests_on"] for need in predicted} == {"measured here"}
    assert all(need["seconds"] > 0 for need in predicted)
    assert not [need for need in needs if need["kind"] in {"fetch", "import", "build"}]
