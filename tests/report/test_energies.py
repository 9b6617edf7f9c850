"""Energy, carbon and break-even as they are shown, from figures worked out by hand."""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING, Any

import pytest

from quantbench.record.energy import unknown_energy
from quantbench.report.checking import views_of
from quantbench.report.energies import Columns, Energies, beside, joules, notes, table, told
from quantbench.report.exports import as_csv, as_markdown
from quantbench.report.figures import drawn
from quantbench.report.page import as_html
from quantbench.report.terminal import summary
from quantbench.report.views import View, studies_of
from tests.report.conftest import both_studies, detection

if TYPE_CHECKING:
    from collections.abc import Mapping

RATE = "15 W as stated (--quant-watts) times wall time"


def with_energy(
    record: dict[str, Any], joules_: float, built: float, **more: Any
) -> dict[str, Any]:
    work = {"joules": built, "provenance": "estimated", "by": RATE}
    energy = {"joules_per_sample": joules_, "low": joules_ * 0.9, "high": joules_ * 1.1,
              "provenance": "estimated", "by": RATE, "build": work, "evaluation": work}  # fmt: skip
    carbon = {"kg_co2e_per_kwh": 0.21, "source": "stated (--quant-grid)",
              "grams_co2e_per_million": joules_ * 1e6 / 3.6e6 * 210}  # fmt: skip
    return record | {"energy": unknown_energy() | energy | more, "carbon": carbon}


def study(**more: Any) -> list[dict[str, Any]]:
    """2 J became 1.25 J, and 3,000 J built it: 4,000 inferences."""
    return [
        with_energy(detection("float32", 0.7), 2.0, 10.0, **more),
        with_energy(detection("int8_static", 0.69), 1.25, 3000.0, **more),
    ]


def views(records: list[dict[str, Any]]) -> Mapping[str, View]:
    return {view.scheme: view for view in views_of({"records": records}, "x")}


def test_the_break_even_is_beside_the_reference_with_its_bounds() -> None:
    found = views(study())
    own = found["int8_static"].energies
    assert own.ratio == 0.625
    assert own.pays_after == 4000
    # at best 2.2 - 1.125, at worst 1.8 - 1.375
    assert own.pays_between == (math.ceil(3000 / 1.075), math.ceil(3000 / 0.425))
    assert own.grams_per_million == pytest.approx(72.9167, rel=1e-5)
    assert found["float32"].energies.pays_after is None


def test_what_needs_more_energy_never_pays() -> None:
    reference = Energies(joules=1.0, low=0.9, high=1.1, by="a")
    own = beside(Energies(joules=1.5, low=1.4, high=1.6, by="a", build_joules=9.0), reference)
    assert (own.pays_after, own.pays_between) == (math.inf, (math.inf, math.inf))
    header, row = table([view_with(own)])
    assert dict(zip(header, row, strict=True))["by the intervals"] == "never"
    assert Columns(energy=False, carbon=False, pays=True).cells(view_with(own)) == ("never",)


def view_with(energies: Energies) -> View:
    return View(*("c", "m", "s", "t", "d", "cpu", "pass"), energies=energies)


def test_figures_of_two_kinds_are_not_compared() -> None:
    reference = Energies(joules=2.0, by="RAPL: package-0 of this machine")
    own = Energies(joules=1.0, by=RATE, build_joules=9.0)
    assert beside(own, reference) == own


@pytest.mark.parametrize(
    ("value", "text"),
    [(4.16, "4.16 J"), (0.0312, "31.2 mJ"), (2e-5, "20 µJ"), (0.0, "0 J"), (None, "-"),
     (1234.5, "1,234 J")],
)  # fmt: skip
def test_joules_have_three_digits(value: float | None, text: str) -> None:
    assert joules(value) == text


def test_an_estimate_is_marked_wherever_it_stands() -> None:
    records = study()
    lines = list(summary(records))
    header, row = lines[1], next(line for line in lines if "int8_static" in line)
    assert header.rstrip().endswith("energy  g CO2e/million  pays after")
    assert row.split()[-4:] == ["~1.25", "J", "~72.9", "~4,000"]
    assert any("estimated (~), 15 W as stated" in line for line in lines)
    found = list(views(records).values())
    markdown = as_markdown(found, [])
    assert "| ~1.25 J | ~72.9 | ~4,000 |" in markdown
    page = as_html(found, [{"file": "x", "facts": {}, "skipped": {}}])
    assert "~1.25 J" in page
    assert "<small>estimated</small>" in page
    assert "0.21 kg CO2e a kWh, stated" in page
    (figure,) = [f for f in drawn(studies_of(found)[0]) if f.name == "quality_energy"]
    assert "estimated" in figure.title
    assert RATE in figure.caption


def test_what_was_measured_is_not_marked() -> None:
    build = {"joules": 3000.0, "provenance": "measured", "by": "RAPL: x"}
    records = study(provenance="measured", by="RAPL: x", build=build)
    text = "\n".join(summary(records))
    assert "~" not in text
    assert "energy of a sample: measured, RAPL: x" in text


def test_others_load_is_said_where_it_counts() -> None:
    records = study(load_by_others=0.02)
    assert not any("others took" in note for note in notes(list(views(records).values())))
    records = study(load_by_others=0.12)
    said = list(notes(list(views(records).values())))
    assert "int8_static: others took 12% of the processors while it was measured" in said


def test_without_energy_nothing_is_shown_of_it() -> None:
    records = both_studies()
    found = views_of({"records": records}, "x")
    assert Columns.of(found).header == ()
    page = as_html(found, [{"file": "x", "facts": {}, "skipped": {}}])
    assert "CO2e" not in page
    assert told(Energies()) == {}
    names = {figure.name for each in studies_of(found) for figure in drawn(each)}
    assert "quality_energy" not in names


def test_the_reason_for_no_figure_stands_in_the_details() -> None:
    energy = unknown_energy() | {"reason": "no counter; buy one"}
    page = as_html(
        views_of({"records": [detection("float32", 0.7) | {"energy": energy}]}, "x"),
        [{"file": "x", "facts": {}, "skipped": {}}],
    )
    assert "unavailable, no counter; buy one" in page


def test_programs_get_the_figures_in_full() -> None:
    found = list(views(study()).values())
    rows = list(csv.DictReader(io.StringIO(as_csv(found, []))))
    row = next(row for row in rows if row["scheme"] == "int8_static")
    assert (row["joules"], row["energy"], row["build_joules"]) == ("1.25", "estimated", "3000.0")
    assert row["pays_after_inferences"] == "4000.0"
