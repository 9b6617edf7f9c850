"""What a grid emits: a number of the user's, or a country's year out of a library's table."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantbench.core.plugins import missing_extra
from quantbench.errors import MissingExtraError, UsageError, meant

if TYPE_CHECKING:
    from collections.abc import Mapping

_LIBRARY, _TABLE = "codecarbon", "global_energy_mix.json"
_INSTALL = 'pip install "quantbench[carbon]"'
_MOST = 5.0  # no grid emits as much: coal alone is about 1


@dataclass(frozen=True)
class Grid:
    """Carbon intensity of electricity.

    Attributes:
        kg_co2e_per_kwh: all greenhouse gases, as CO2.
        source: who says so, of which year.
    """

    kg_co2e_per_kwh: float
    source: str


def parse_grid(text: str) -> Grid:
    """A number of kg CO2e a kWh, or a country by its three letters (ISO 3166: FRA).

    Countries are read from the table that codecarbon ships, without the network; the library
    itself, which measures and guesses, is not imported.

    Raises:
        UsageError: it is neither, or the table does not know the country.
        MissingExtraError: codecarbon is not installed.
    """
    if text.isalpha():
        table = _table()
        return grid_of(text.upper(), table, f"{_TABLE} of {_LIBRARY} {version(_LIBRARY)}")
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= _MOST:
        raise UsageError(
            "--quant-grid",
            expected=f"kg CO2e a kWh, from 0 to {_MOST:g}, or a country's three letters",
            got=repr(text),
            remedy="grams a kWh are divided by 1,000: 210 g are 0.21",
        )
    return Grid(number, "stated (--quant-grid)")


def grid_of(country: str, table: Mapping[str, Any], name: str) -> Grid:
    """A country's entry, in g CO2e a kWh there.

    Raises:
        UsageError: the table does not know the country.
    """
    entry = table.get(country)
    if not isinstance(entry, dict) or "carbon_intensity" not in entry:
        raise UsageError(
            "--quant-grid names a country that the table does not know",
            where=name,
            expected="three letters of ISO 3166, such as FRA",
            got=country,
            remedy=meant(country, table) or "give a number of kg CO2e a kWh",
        )
    grams = float(entry["carbon_intensity"])
    return Grid(grams / 1000, f"{country} in {entry.get('year')}, {name}")


def _table() -> dict[str, Any]:
    try:
        listed = files(_LIBRARY) or []
    except PackageNotFoundError as error:
        lack = MissingExtraError(f"{_LIBRARY} is not installed", remedy=_INSTALL)
        raise (missing_extra(_LIBRARY) or lack) from error
    path = next((Path(str(each.locate())) for each in listed if each.name == _TABLE), None)
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path else None
    except (OSError, ValueError) as error:
        raise UsageError(f"{_LIBRARY}'s table cannot be read", where=path, got=error) from error
    if not isinstance(found, dict):
        raise UsageError(
            f"{_LIBRARY} ships no table of countries",
            expected=_TABLE,
            remedy="give a number of kg CO2e a kWh: --quant-grid 0.21",
        )
    return found
