"""What a record says of energy: figures worked out by hand, and old files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from quantbench.measure.energy.drawn import Energy, estimated
from quantbench.measure.energy.spent import SEARCHED, SPENT
from quantbench.measure.grid import Grid
from quantbench.record.energy import (
    build_energy,
    carbon_as_json,
    energy_as_json,
    evaluation_energy,
    unknown_energy,
)
from quantbench.record.reading import read_document
from quantbench.run.energies import Drawn

if TYPE_CHECKING:
    from pathlib import Path


def test_a_measured_prediction_and_its_tokens() -> None:
    energy = Energy("measured", "RAPL: x", (1.0, 2.0, 3.0), 0.1, 4.0, 0.001, 0.3, 0.05)
    decoding = Energy("measured", "RAPL: x", (40.0, 60.0)).per(20)
    made = energy_as_json(Drawn(energy, tokens=8, decoding=decoding))
    assert made["joules_per_sample"] == 2.0
    assert made["low"] == pytest.approx(2 - 4.302653 / 3**0.5)
    assert (made["provenance"], made["by"], made["idle_watts"]) == ("measured", "RAPL: x", 4.0)
    assert made["joules_per_prefill_token"] == 0.25
    assert made["decoding"]["joules_per_token"] == 2.5
    json.dumps(made, allow_nan=False)


def test_a_sample_without_tokens_has_no_joules_a_token() -> None:
    made = energy_as_json(Drawn(estimated([0.1, 0.1], 15.0)))
    assert made["joules_per_prefill_token"] is made["decoding"] is None
    assert (made["joules_per_sample"], made["provenance"]) == (pytest.approx(1.5), "estimated")


def test_an_artifact_keeps_what_was_measured_when_it_was_built() -> None:
    details = {"energy_spent": {"joules": 500.0, "by": "RAPL: x", "load_by_others": 0.1}}
    was = build_energy(details, 20.0, 15.0)  # the rate of today changes nothing
    known = {"joules": 500.0, "by": "RAPL: x", "load_by_others": 0.1}
    assert was == {**known, "provenance": "measured"}
    assert build_energy({}, 20.0, None) is None
    made = build_energy({}, 20.0, 15.0)
    assert made is not None
    assert (made["joules"], made["provenance"]) == (300.0, "estimated")


def test_the_search_of_a_recipe_belongs_to_its_build() -> None:
    spent = {"energy_spent": {"joules": 500.0, "by": "RAPL: x"}}
    searched = {"searched": {"seconds": 100.0, "joules": 2000.0}}
    was = build_energy(spent | searched, 20.0, None)
    assert was is not None
    assert was["joules"] == 2500.0
    unmeasured = {"searched": {"seconds": 100.0}}
    assert build_energy(spent | unmeasured, 20.0, None) is None  # half of it is not the build's
    made = build_energy(spent | unmeasured, 20.0, 15.0)
    assert made is not None
    assert (made["joules"], made["provenance"]) == (15 * 120.0, "estimated")


def test_a_build_that_began_in_a_killed_process_is_not_counted() -> None:
    spent = {"joules": 10.0, "by": "RAPL", "load_by_others": 0.0}
    details = {SPENT: spent, SEARCHED: {"seconds": 5.0, **spent}}
    known = build_energy(details, 30.0, 15.0)
    assert known is not None
    assert known["joules"] == 20.0
    assert build_energy({**details, "resumed": True}, 30.0, 15.0) is None


def test_an_evaluation_is_measured_where_all_of_its_parts_are() -> None:
    work, load = {"joules": 70.0, "by": "RAPL: x"}, {"load_by_others": 0.3}
    part: dict[str, Any] = {"predict_s": 10.0, "energy_spent": work}
    loaded = {"predict_s": 10.0, "energy_spent": work | load}
    both = {"joules": 140.0, "provenance": "measured", "by": "RAPL: x", **load}
    assert evaluation_energy([part, loaded], None) == both
    assert evaluation_energy([part, {"predict_s": 5.0}], None) is None
    made = evaluation_energy([part, {"predict_s": 5.0}], 2.0)
    assert made is not None
    assert (made["joules"], made["provenance"]) == (30.0, "estimated")


def test_carbon_is_that_of_a_million() -> None:
    grid = Grid(0.21, "stated")
    assert carbon_as_json(grid, 0.5)["grams_co2e_per_million"] == pytest.approx(29.1667, rel=1e-5)
    assert carbon_as_json(grid, None)["grams_co2e_per_million"] is None


@pytest.mark.parametrize(
    ("energy", "joules"),
    [({"joules_per_sample": 4.16, "provenance": "measured"}, 4.16), (None, None), ({}, None)],
)
def test_a_file_of_schema_2_is_read(tmp_path: Path, energy: Any, joules: float | None) -> None:
    record = {
        "case": "c",
        "model": "m",
        "scheme": "s",
        "task": "t",
        "dataset": {"name": "d"},
        "metrics": {},
        "verdicts": [],
        "energy": energy,
    }
    path = tmp_path / "old.json"
    path.write_text(json.dumps({"quantbench": {"schema": 2, "records": [record]}}))
    (read,) = read_document(path)["records"]
    assert set(read["energy"]) == set(unknown_energy())
    assert read["energy"]["joules_per_sample"] == joules
    assert read["carbon"] is None
