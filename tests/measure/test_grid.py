"""A grid is a number, or a country's year in a table that is named."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from quantbench.errors import MissingExtraError, UsageError
from quantbench.measure.grid import Grid, grid_of, parse_grid

if TYPE_CHECKING:
    from pathlib import Path

TABLE = {"FRA": {"carbon_intensity": 56.039, "year": 2023}, "FRO": {"carbon_intensity": 404.0},
         "_define": "a text"}  # fmt: skip


@pytest.mark.parametrize(("text", "kg"), [("0.21", 0.21), ("0", 0.0), ("1e-1", 0.1)])
def test_a_number_is_the_user_s(text: str, kg: float) -> None:
    assert parse_grid(text) == Grid(kg, "stated (--quant-grid)")


@pytest.mark.parametrize("text", ["210", "-0.1", "0,21", "", "12abc", "1e999"])
def test_what_no_grid_emits_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="kg CO2e a kWh"):
        parse_grid(text)


def test_a_country_s_grams_come_with_year_and_table() -> None:
    assert grid_of("FRA", TABLE, "t of l 1") == Grid(0.056039, "FRA in 2023, t of l 1")


@pytest.mark.parametrize("country", ["FRX", "_define"])
def test_an_unknown_country_is_refused_with_the_nearest(country: str) -> None:
    with pytest.raises(UsageError, match="does not know"):
        grid_of(country, TABLE, "t")


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """codecarbon as far as it is read: its list of files, its table, and code that fails."""
    folder = tmp_path / "codecarbon" / "data" / "private_infra"
    folder.mkdir(parents=True)
    (folder / "global_energy_mix.json").write_text(json.dumps(TABLE))
    (tmp_path / "codecarbon" / "__init__.py").write_text("raise RuntimeError('imported')")
    info = tmp_path / "codecarbon-9.8.7.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: codecarbon\nVersion: 9.8.7\n")
    (info / "RECORD").write_text("codecarbon/data/private_infra/global_energy_mix.json,,\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def test_the_table_is_read_and_the_library_not_imported(library: Path) -> None:
    source = "FRA in 2023, global_energy_mix.json of codecarbon 9.8.7"
    assert parse_grid("fra") == Grid(0.056039, source)
    (library / "global_energy_mix.json").write_text("{")
    with pytest.raises(UsageError, match="cannot be read"):
        parse_grid("fra")


def test_without_the_library_a_country_is_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    from quantbench.measure import grid

    monkeypatch.setattr(grid, "_LIBRARY", "a-library-that-is-not-there")
    with pytest.raises(MissingExtraError, match=r"quantbench\[carbon\]"):
        parse_grid("FRA")
