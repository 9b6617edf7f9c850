"""What a case draws, as it is shown: joules, carbon, and when its build has paid."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from quantbench.measure.carbon import break_even_bounds, break_even_inferences
from quantbench.report.numbers import digits, times

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from quantbench.report.views import View

_ESTIMATED = "estimated"
_LOADED = 0.05  # of the processors' time: what others draw is then in the joules
CARBON, PAID = "g CO2e/million", "pays after"


@dataclass(frozen=True)
class Energies:
    """Of one case.

    Attributes:
        joules: of a sample, with interval.
        provenance: "measured", "estimated", "unavailable".
        by: the counter and what it counts, or the rate.
        idle_watts: that are in the joules.
        load_by_others: share of the processors' time that others took while it was measured.
        per_prefill_token: joules; `per_decoded_token` likewise.
        build_joules: of building it; `evaluation_joules` of predicting all samples.
        build_provenance: where the build's come from; `evaluation_provenance` likewise.
        grams_per_million: CO2e of a million inferences on the grid that was named.
        grid: its intensity and who says so.
        pays_after: inferences after which the energy saved has paid for the build, infinite where
            none is saved; with the bounds that the intervals allow.
        ratio: its joules over its reference's.
    """

    joules: float | None = None
    low: float | None = None
    high: float | None = None
    provenance: str = "unavailable"
    by: str = ""
    reason: str = ""
    idle_watts: float | None = None
    load_by_others: float | None = None
    per_prefill_token: float | None = None
    per_decoded_token: float | None = None
    build_joules: float | None = None
    build_provenance: str = ""
    evaluation_joules: float | None = None
    evaluation_provenance: str = ""
    grams_per_million: float | None = None
    grid: str = ""
    pays_after: float | None = None
    pays_between: tuple[float, float] | None = None
    ratio: float | None = None

    @property
    def estimated(self) -> bool:
        """Whether its joules are a rate times a time."""
        return self.provenance == _ESTIMATED

    @property
    def pays_estimated(self) -> bool:
        """Whether anything in the break-even is."""
        return _ESTIMATED in {self.provenance, self.build_provenance}


def beside(own: Energies, reference: Energies) -> Energies:
    """With what needs the float model's: the ratio, and the break-even.

    Only of figures of one kind: by the same counter, or the same rate.
    """
    if own.joules is None or reference.joules is None or own.by != reference.by:
        return own
    ratio = own.joules / reference.joules if reference.joules > 0 else None
    if own.build_joules is None:
        return replace(own, ratio=ratio)
    between = None
    intervals = (reference.low, reference.high), (own.low, own.high)
    if None not in (*intervals[0], *intervals[1]):
        was, now = ((float(low or 0), float(high or 0)) for low, high in intervals)
        between = break_even_bounds(own.build_joules, was, now)
    pays = break_even_inferences(own.build_joules, reference.joules, own.joules)
    return replace(own, ratio=ratio, pays_after=pays, pays_between=between)


def joules(value: float | None, *, estimated: bool = False) -> str:
    """Of one call; "~" marks an estimate."""
    if value is None:
        return "-"
    scale, unit = 1.0, "J"
    if value and abs(value) < 0.1:  # noqa: PLR2004 - a tenth
        scale, unit = (1e3, "mJ") if abs(value) >= 1e-4 else (1e6, "µJ")  # noqa: PLR2004
    return f"{'~' if estimated else ''}{digits(value * scale)} {unit}"


def grams(energies: Energies) -> str:
    """CO2e of a million inferences."""
    value = energies.grams_per_million
    mark = "~" if energies.estimated else ""
    return "-" if value is None else f"{mark}{digits(value)}"


def pays_after(energies: Energies) -> str:
    """Inferences until the build is paid back."""
    if energies.pays_after is None:
        return "-"
    mark = "~" if energies.pays_estimated and not math.isinf(energies.pays_after) else ""
    return f"{mark}{inferences(energies.pays_after)}"


def inferences(number: float) -> str:
    """Of a break-even."""
    return "never" if math.isinf(number) else f"{number:,.0f}"


@dataclass(frozen=True)
class Columns:
    """Which of them a table has: those of which anything is known."""

    energy: bool
    carbon: bool
    pays: bool

    @classmethod
    def of(cls, views: Sequence[View]) -> Columns:
        """Those of a table of these cases."""
        known = [view.energies for view in views]
        return cls(
            any(each.joules is not None for each in known),
            any(each.grams_per_million is not None for each in known),
            any(each.pays_after is not None for each in known),
        )

    @property
    def header(self) -> tuple[str, ...]:
        """Their names."""
        return (*["energy"] * self.energy, *[CARBON] * self.carbon, *[PAID] * self.pays)

    def cells(self, view: View) -> tuple[str, ...]:
        """Of one case."""
        own = view.energies
        return (
            *[joules(own.joules, estimated=own.estimated)] * self.energy,
            *[grams(own)] * self.carbon,
            *[pays_after(own)] * self.pays,
        )


def table(views: Sequence[View]) -> list[tuple[str, ...]]:
    """A header, then a row each case whose energy is known; empty where none is."""
    known = [view for view in views if view.energies.joules is not None]
    if not known:
        return []
    has = Columns.of(known)
    decodes = any(view.energies.per_decoded_token is not None for view in known)
    header = (
        *("scheme", "a sample", "95 %", "to float"),
        *["a decoded token"] * decodes,
        *["idle power"] * any(view.energies.idle_watts is not None for view in known),
        *["build"] * any(view.energies.build_joules is not None for view in known),
        *["pays after", "by the intervals"] * has.pays,
        *["carbon of a million"] * has.carbon,
    )
    cells = []
    for view in known:
        own, mark = view.energies, view.energies.estimated
        built = own.build_provenance == _ESTIMATED
        named = {
            "scheme": view.scheme,
            "a sample": joules(own.joules, estimated=mark),
            "95 %": _between(own) or "-",
            "to float": times(own.ratio),
            "a decoded token": joules(own.per_decoded_token, estimated=mark),
            "idle power": "-" if own.idle_watts is None else f"{digits(own.idle_watts)} W",
            "build": joules(own.build_joules, estimated=built),
            "pays after": pays_after(own),
            "by the intervals": _pays_between(own) or "-",
            "carbon of a million": f"{grams(own)} g CO2e",
        }
        cells.append(tuple(named[name] for name in header))
    return [header, *cells]


def _between(own: Energies) -> str | None:
    if own.low is None or own.high is None:
        return None
    return f"{joules(own.low)} to {joules(own.high)}"


def _pays_between(own: Energies) -> str | None:
    ends = dict.fromkeys(inferences(end) for end in own.pays_between or ())
    return " to ".join(ends) or None


def notes(views: Sequence[View]) -> Iterator[str]:
    """How to read these columns: whose joules, which are estimates, whose grid, who was beside."""
    known = [view.energies for view in views if view.energies.joules is not None]
    for how, by in dict.fromkeys((each.provenance, each.by) for each in known):
        mark = " (~)" if how == _ESTIMATED else ""
        yield f"energy of a sample: {how}{mark}{', ' if by else ''}{by}"
    for grid in dict.fromkeys(e.grid for e in known if e.grid):
        yield f"carbon: {grid}"
    if any(each.pays_after is not None for each in known):
        yield f"{PAID}: inferences whose saved energy makes up for building the quantized model"
    for view in views:
        load = view.energies.load_by_others
        if load is not None and load > _LOADED:
            yield f"{view.scheme}: others took {load:.0%} of the processors while it was measured"


def told(energies: Energies) -> dict[str, str]:
    """The full figures of one case, by name."""
    own = energies
    found = {
        "energy": own.provenance + (f", {own.by or own.reason}" if own.by or own.reason else ""),
        "energy of a sample": _between(own),
        "energy of a prefill token": _known(own.per_prefill_token),
        "energy of a decoded token": _known(own.per_decoded_token),
        "idle power before": None if own.idle_watts is None else f"{digits(own.idle_watts)} W",
        "others' share of the processors": None
        if own.load_by_others is None
        else f"{own.load_by_others:.1%}",
        "energy of the build": _known(own.build_joules, own.build_provenance),
        "energy of the evaluation": _known(own.evaluation_joules, own.evaluation_provenance),
        "pays after (by the intervals)": _pays_between(own),
        "grid": own.grid or None,
    }
    unknown = own == replace(Energies(), grid=own.grid)
    return {} if unknown else {name: text for name, text in found.items() if text is not None}


def _known(value: float | None, provenance: str = "") -> str | None:
    how = f", {provenance}" if provenance else ""
    return None if value is None else f"{joules(value)}{how}"
