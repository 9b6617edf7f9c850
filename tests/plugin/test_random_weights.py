"""A model with random weights: measured, never judged, and never taken for a result."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from quantbench.errors import RecordError, UsageError
from quantbench.record.reading import read_document
from quantbench.report.model_card import as_model_card
from quantbench.report.reports import gathered

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugin.conftest import Study

HEADER = """
from dataclasses import replace
import pytest
from fakes import model
from quantbench import cases, non_inferior
"""
TESTS = """
@pytest.mark.parametrize("case", CASES, ids=str)
class TestFake:
    def test_latency(self, quantized, sample, benchmark):
        benchmark(quantized.predict, sample)

    def test_accuracy(self, evaluation, reference):
        assert non_inferior(evaluation, reference, metric="accuracy", margin=0.05)
"""
PUBLISHED = """
MODEL = replace(model("as_near", "worse"), architecture="net", source="hf:nobody/net==main")
CASES = cases(MODEL, known_failures={"worse": "as it was published"})
"""
MIXED = """
MODEL = replace(model("as_near"), architecture="net").with_random_weights(seed=3)
CASES = [*cases(MODEL), *cases(model("as_near"))]
"""
ON = ("--quant-random-weights", "on", "--benchmark-json", "out.json")


def write(study: Study, cases: str, tests: str = TESTS) -> None:
    (study.path / "test_fake.py").write_text(HEADER + cases + tests)


def records(study: Study) -> dict[str, Any]:
    document = json.loads((study.path / "out.json").read_text())["quantbench"]
    return {record["case"]: record for record in document["records"]}


def test_times_and_sizes_are_measured_and_nothing_is_judged(quick: Study) -> None:
    write(quick, PUBLISHED)
    done = quick.run(*ON, "-rs")
    done.assert_outcomes(passed=3, skipped=3)
    done.stdout.fnmatch_lines(["*SKIPPED*random weights: the answers of fake_random*"])
    done.stdout.fnmatch_lines(["*as_near*random weights*-*"])
    done.stdout.fnmatch_lines(["*note: random weights: nothing that this model answers means*"])
    done.stdout.fnmatch_lines(["*test_latency*as_near*random weights*"])
    found = records(quick)
    assert set(found) == {f"fake_random-{s}-numbers" for s in ("float", "as_near", "worse")}
    for record in found.values():
        assert record["random_weights"] == "random:net#seed=0"
        assert record["latency"]
        assert record["artifact"]["size_bytes"] > 0
        assert record["memory"]["weights_bytes"] == 8
        assert set(record["metrics"]) <= {"prefill_tokens_per_s"}
        assert (record["verdicts"], record["evidence"], record["expected"]) == ([], None, "pass")


def test_without_the_option_the_published_weights_are_asked_for(quick: Study) -> None:
    write(quick, PUBLISHED)
    done = quick.run("--benchmark-json", "out.json", "-rs")
    done.assert_outcomes(skipped=6)
    done.stdout.fnmatch_lines(["*could not fetch nobody/net==main*"])


def test_the_environment_and_the_file_say_it_too(
    quick: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(quick, PUBLISHED)
    (quick.path / "pytest.ini").write_text("[pytest]\nquant_random_weights = on\n")
    quick.run().assert_outcomes(passed=3, skipped=3)
    monkeypatch.setenv("QUANTBENCH_RANDOM_WEIGHTS", "off")
    quick.run().assert_outcomes(skipped=6)


def test_where_weights_are_required_the_skip_is_an_error(
    quick: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(quick, PUBLISHED)
    monkeypatch.setenv("QUANTBENCH_REQUIRE", "weights")
    quick.run(*ON).assert_outcomes(passed=3, errors=3)


def test_the_seed_is_part_of_the_identity(quick: Study) -> None:
    write(quick, PUBLISHED)
    quick.run(*ON, "-k", "as_near")
    write(quick, MIXED)
    quick.run("--benchmark-json", "out.json", "-k", "as_near")
    assert quick.builds().count("as_near") == 3, "one of seed 0, of seed 3, of trained weights"
    assert records(quick)["fake_random-as_near-numbers"]["random_weights"] == "random:net#seed=3"


def test_trained_models_beside_are_judged_as_ever(quick: Study) -> None:
    write(quick, MIXED)
    quick.run("--benchmark-json", "out.json").assert_outcomes(passed=6, skipped=2)
    judged = records(quick)["fake-as_near-numbers"]["verdicts"]
    assert [verdict["outcome"] for verdict in judged] == ["pass"]


def test_one_cannot_be_accepted_compared_or_published(quick: Study) -> None:
    write(quick, MIXED)
    quick.run("--benchmark-json", "out.json")
    done = quick.command("accept", "out.json", "-o", "baseline.json")
    assert done.ret == 2
    done.stderr.fnmatch_lines(["*random weights are nothing to be accepted*"])
    assert not (quick.path / "baseline.json").exists()
    said = quick.command("compare", "out.json", "out.json").stdout.str()
    lines = {line.split()[0]: line for line in said.splitlines() if "fake" in line}
    assert "random weights" in lines["fake_random-as_near-numbers"]
    assert "pass" in lines["fake-as_near-numbers"]
    views, _ = gathered([quick.path / "out.json"])
    assert {view.verdict for view in views if view.random_weights} == {"random weights"}
    with pytest.raises(UsageError, match="there is no model to publish"):
        as_model_card(views, "fake_random-as_near-numbers")
    page = quick.command("report", "out.json").stdout.str()
    assert "random:net#seed=3" in page
    assert "random weights" in page


def test_its_record_is_no_file_of_answers(quick: Study) -> None:
    write(quick, MIXED)
    quick.run("--benchmark-json", "out.json", "-k", "random")
    done = quick.command(
        "judge", "rows", "out.json", "out.json", "--value", "correct", "--margin", "0.1"
    )
    assert done.ret == 2


SPOILS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "its source is struck out": lambda record: record.update(random_weights=None),
    "it is named as if it were trained": lambda record: record.update(model="fake"),
    "it has an accuracy": lambda record: record["metrics"].update(accuracy={"value": 0.5}),
    "it has evidence": lambda record: record.update(evidence={"keys": []}),
    "it says why it is worse": lambda record: record.update(diagnosis={"findings": []}),
    "it has a verdict": lambda record: record["verdicts"].append(
        {"metric": "accuracy", "margin": 0.1, "confidence": 0.95, "outcome": "pass"}
    ),
}


@pytest.mark.parametrize("what", SPOILS)
def test_a_record_that_is_bent_into_a_result_is_refused(quick: Study, what: str) -> None:
    write(quick, MIXED)
    quick.run("--benchmark-json", "out.json", "-k", "random")
    path = quick.path / "out.json"
    read_document(path)
    whole = json.loads(path.read_text())
    SPOILS[what](whole["quantbench"]["records"][0])
    path.write_text(json.dumps(whole))
    with pytest.raises(RecordError, match="random weights"):
        read_document(path)


def test_a_baseline_bent_to_name_one_is_refused(quick: Study) -> None:
    write(quick, MIXED)
    quick.run("--benchmark-json", "out.json", "-k", "not random")
    quick.command("accept", "out.json", "-o", "baseline.json")
    text = (quick.path / "baseline.json").read_text().replace("fake-as_near", "fake_random-as_near")
    (quick.path / "baseline.json").write_text(text)
    done = quick.run("--quant-baseline", "baseline.json")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["*a baseline of a model with random weights*"])
