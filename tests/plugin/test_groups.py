"""Samples that come in groups are judged by group, and everything says so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Study

GROUP = """
    @property
    def group(self):
        return f"book {self.number // 2 // SIZE}"

    fingerprint = digest
"""


def grouped(study: Study, size: int, *names: str) -> None:
    """Twice as many samples a group as `size`, for they are even numbers."""
    study.write(*names)
    fakes = study.path / "fakes.py"
    text = fakes.read_text().replace("\n    fingerprint = digest\n", GROUP, 1)
    fakes.write_text(f"SIZE = {size}\n{text}")


def verdict_of(study: Study, scheme: str) -> dict[str, Any]:
    document = json.loads((study.path / "out.json").read_text())["quantbench"]
    (record,) = (each for each in document["records"] if each["scheme"] == scheme)
    return {**record["verdicts"][0], "dataset": record["dataset"]}


RUN = ("-k", "accuracy", "--benchmark-json", "out.json")


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_groups_stand_in_the_record_and_the_table(study: Study, workers: tuple[str, ...]) -> None:
    grouped(study, 10, "near")
    result = study.run(*RUN, *workers)
    found = verdict_of(study, "near")
    assert (found["n"], found["groups"], found["dataset"]["groups"]) == (400, 40, 40)
    assert found["method"].startswith("paired influences")
    result.stdout.fnmatch_lines(["fake on numbers, 400 samples in 40 groups"])


def test_what_falls_together_is_less_certain_by_group(study: Study) -> None:
    """Three errors in a hundred, all of them in one of ten samples: by sample it would pass."""
    grouped(study, 10, "near")
    study.run(*RUN)
    by_group = verdict_of(study, "near")
    study.run(*RUN, "--quant-group", "none")
    by_sample = verdict_of(study, "near")
    assert by_sample["groups"] is None
    assert by_sample["method"].startswith("paired proportions")
    assert by_group["difference"] == pytest.approx(by_sample["difference"])
    assert by_group["low"] < by_sample["low"] - 0.005


def test_fewer_than_ten_groups_are_refused(study: Study) -> None:
    grouped(study, 50, "near")
    result = study.run(*RUN)
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(
        ["*DataError: too few groups to judge *", "*at least 10 groups*", "*8 groups of 400*"]
    )


def test_an_early_stop_takes_whole_groups(study: Study) -> None:
    grouped(study, 5, "worse")
    result = study.run(*RUN, "--quant-sequential", "on")
    result.assert_outcomes(passed=1, failed=1)
    found = verdict_of(study, "worse")
    assert found["groups"] * 5 == found["n"] < 400


def test_a_field_that_no_sample_has_is_refused(study: Study) -> None:
    study.write("near")
    result = study.run(*RUN, "--quant-group", "book")
    result.stdout.fnmatch_lines(["*UsageError: numbers cannot be grouped by 'book'*"])
